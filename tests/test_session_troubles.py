"""Troubles of the live input are told with what was lost in all, and an input that runs ahead takes no memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.feedback import KEPT_SECONDS, FeedbackLoop
from lmdm_adapter.session.live_input import LiveInput
from lmdm_adapter.session.maker import Facts
from tests.mode_models import CONFIG, FRAME, PLAN, RATE, EchoMaker, Nothing, RawEars

KEPT = round(KEPT_SECONDS * RATE)


def told(notes: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(note["what"], note["samples"]) for note in notes]


def sound(first: int, count: int) -> np.ndarray:
    """Samples that say their own place, `s 1`."""
    return ((first + np.arange(count)) / 2**20).astype(np.float32)[:, None]


def test_an_overrun_says_what_its_first_chunk_lost_and_at_its_end_what_was_lost_in_all() -> None:
    notes: list[dict[str, Any]] = []
    feed = LiveInput(notes.append, sample_rate=RATE, channels=1)
    feed.hear(sound(0, KEPT - 100))
    for _ in range(3):
        feed.hear(sound(0, 250))
    assert told(notes) == [("overrun", 150)]
    feed.drained()
    feed.hear(sound(0, 10))
    assert told(notes) == [("overrun", 150), ("overrun over", 650)]


def test_nan_says_what_was_lost_in_all_and_each_time_anew() -> None:
    notes: list[dict[str, Any]] = []
    feed, bad = LiveInput(notes.append, sample_rate=RATE, channels=1), sound(0, 10)
    bad[3] = np.nan
    for chunk in (bad, bad, bad, sound(0, 10), bad, sound(0, 10)):
        feed.hear(chunk)
    assert told(notes) == [("nan", 1), ("nan over", 3), ("nan", 1), ("nan over", 1)]


def test_an_input_that_runs_ahead_of_what_is_played_is_kept_for_ten_seconds() -> None:
    """Half as fast again: after 20 s as much waits as is kept, and of what comes then the newest is left out."""
    notes: list[dict[str, Any]] = []
    loop, heard, joined, most = FeedbackLoop(1, RATE, announce=notes.append), 0, [], 0
    for second in range(40):
        loop.send(np.zeros((RATE, 1), np.float32))
        joined.append(loop.joined(sound(heard, 3 * RATE // 2)))
        heard += 3 * RATE // 2
        most = max(most, loop.waiting_samples)
        assert sum(map(len, joined)) == (second + 1) * RATE, "nothing waits for the input"
    assert most == KEPT and told(notes) == [("ahead", RATE // 2)]
    whole = np.concatenate(joined)[: 20 * RATE + KEPT]
    assert np.array_equal(whole, sound(0, len(whole))), "what was heard first is in its place"
    for seconds in (1, 5):
        assert len(notes) == 1, "not over with the first chunk that loses nothing"
        loop.send(np.zeros((seconds * RATE, 1), np.float32))
        loop.joined(sound(0, 0))
    assert told(notes)[1:] == [("ahead over", 20 * RATE // 2)]


def test_what_was_heard_during_a_long_stall_is_not_ahead() -> None:
    """All of it was played to by then: it waits for its silence, and what comes later is in its place."""
    notes: list[dict[str, Any]] = []
    loop = FeedbackLoop(1, RATE, announce=notes.append)
    for _ in range(40):
        loop.send(np.zeros((RATE, 1), np.float32))
    joined = [loop.joined(sound(0, 40 * RATE))]
    for second in range(40, 60):
        for part in range(20):
            first = second * RATE + part * RATE // 20
            loop.send(np.zeros((RATE // 20, 1), np.float32))
            joined.append(loop.joined(sound(first, RATE // 20)))
    assert np.array_equal(np.concatenate(joined), sound(0, 60 * RATE)) and not notes


def test_a_session_says_that_its_input_runs_ahead() -> None:
    facts = Facts(RATE, 2, FRAME, block_frames=6)
    mode = DelayMode.of(CONFIG, facts, PLAN, delay_seconds=1.0, ears=RawEars())
    engine = Engine(EchoMaker(facts), facts, mode, state=Nothing(), plan=PLAN, source=(RATE, 2))
    for _ in range(2):
        engine.hear(np.zeros((KEPT // 2 + 300, 2), np.float32))
        engine.produce()
        engine.pull(np.zeros((100, 2), np.float32))
    assert ("ahead", 500) in told([note for note in engine.noted() if note["kind"] == "input"])
