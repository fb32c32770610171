"""Parameters and the queue: what is refused, in which order turns come, and that threads lose none."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session import events
from lmdm_adapter.session.events import EventQueue
from lmdm_adapter.session.parameters import BY_NAME, PARAMETERS, parameter_named, values_of


def test_every_parameter_is_declared_whole() -> None:
    assert len(BY_NAME) == len(PARAMETERS) + 1, "curves, which no hand from outside turns"
    for parameter in BY_NAME.values():
        assert parameter.help.endswith(".") and parameter.spoken_range
        assert parameter.checked(parameter.default) == parameter.default
    assert set(values_of("mix", {"prompt": "a"})) == {"gain_db", "mix", "delay_seconds", "feedback"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("tempo_bpm", 0, "from 20 to 400 BPM, got 0"), ("tempo_bpm", 1000, "from 20 to 400 BPM, got 1000"),
        ("tempo_bpm", float("nan"), "got nan"), ("steps", 2.5, "a whole number"), ("steps", True, "a whole number"),
        ("freeze", 1, "true or false"), ("policy", "maybe", "one of keep, recache"), ("prompt", 7, "text, or pairs"),
        ("prompt", [("a", -1.0)], "not negative"), ("negative_prompt", 3, "must be text"), ("feedback", 1.0, "0.98"),
        ("delay_seconds", 0, "0.001 to 10 s"),
        ("curves", {"seconds": 0}, "more than 0"), ("curves", 3, "be read"),
        ("loudness", 1, "There is no parameter 'loudness'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_would(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(LmdmError, match=sentence):
        EventQueue().post(name, value, stamp=0)


def test_values_take_their_own_type() -> None:
    assert parameter_named("prompt").checked("a") == (("a", 1.0),)
    assert parameter_named("prompt").checked([["a", 1], ["b", 2]]) == (("a", 1.0), ("b", 2.0))
    assert parameter_named("steps").checked(4.0) == 4 and parameter_named("tempo_bpm").checked(None) is None


def test_turns_come_by_stamp_and_equal_ones_in_order() -> None:
    queue = EventQueue()
    for stamp, steps in ((30, 3), (10, 1), (30, 4), (20, 2)):
        queue.post("steps", steps, stamp=stamp)
    queue.post("mix", 0.5, stamp=0)
    assert queue.next_stamp("model") == 10 and queue.due("model", 9) is None
    assert [queue.due("model", 30).value for _ in range(4)] == [1, 2, 3, 4]
    assert queue.due("model", 99) is None and queue.due("mix", 0).value == 0.5


def test_a_stamp_is_no_negative_sample() -> None:
    with pytest.raises(LmdmError, match="0 or later, got -1"):
        EventQueue().post("steps", 3, stamp=-1)


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_WAITING", 5)
    queue = EventQueue()
    for _ in range(5):
        queue.post("steps", 3, stamp=99)
    with pytest.raises(LmdmError, match="5 events wait already"):
        queue.post("steps", 3, stamp=99)
    queue.post("mix", 0.1, stamp=99)


def test_many_threads_lose_nothing() -> None:
    queue, count = EventQueue(), 500

    def post() -> None:
        for stamp in range(1, count):
            queue.post("steps", 3, stamp=stamp)

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken = []
    while len(taken) < 2 * (count - 1):
        turn = queue.due("model", 10**9)
        taken += [] if turn is None else [turn.number]
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(2 * (count - 1)))
