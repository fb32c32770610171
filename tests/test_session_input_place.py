"""A live input that hiccups is in its place again when it comes back, and so is what is fed back after a stall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmdm_adapter.session.feedback import KEPT_SECONDS, FeedbackLoop
from lmdm_adapter.session.input_place import InputPlace
from lmdm_adapter.session.live_input import LiveInput

RATE, CHUNK = 8000, 80


def sound(first: int, count: int = CHUNK) -> np.ndarray:
    """Samples that say their own place in seconds, `s 1`."""
    return ((first + np.arange(count)) / RATE).astype(np.float32)[:, None]


def handed_on(*, gone: tuple[tuple[float, float], ...], counted: bool, kept: bool, every: int = 45) -> np.ndarray:
    """Twenty seconds of what the mode gets of a source that is gone now and then; `kept` sends it all afterwards."""
    live_input, got, late = LiveInput(lambda record: None, sample_rate=RATE, channels=1), [], []
    for chunk in range(20 * RATE // CHUNK):
        first = chunk * CHUNK
        is_gone = any(begin <= first / RATE < end for begin, end in gone)
        late = [*late, first] if kept or not is_gone else []
        if not is_gone:
            for each in late:
                live_input.hear(sound(each), first_sample=each if counted else None)
            late = []
        live_input.dry(np.zeros((CHUNK, 1), np.float32))
        if chunk % every == every - 1:
            got.append(live_input.drained(played_samples=first + CHUNK))
    return np.concatenate(got)[:, 0]


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("every", [7, 45, 250])
@pytest.mark.parametrize("gone", [((3.0, 4.5),), ((3.0, 3.8), (8.0, 9.5), (13.0, 14.5)), ((3.0, 7.0),), ((0.0, 2.0),)])
def test_after_a_hiccup_sound_is_where_it_was_played(
    gone: tuple[tuple[float, float], ...], kept: bool, counted: bool, every: int
) -> None:
    """Lost or held back, counted or not, whether blocks are short or long."""
    heard = handed_on(gone=gone, counted=counted, kept=kept, every=every)
    places = np.arange(len(heard)) / RATE
    settled = places > gone[-1][1] + 3.0
    assert np.abs(heard - places)[settled].max() <= CHUNK / RATE + 1e-6
    before = (places < gone[0][0] - 0.1) & (heard > 0.0)
    assert np.array_equal(heard[before], places[before].astype(np.float32))


@pytest.mark.parametrize("jitter_seconds", [0.05, 0.2])
def test_a_line_that_is_now_and_then_slow_misplaces_no_sample(jitter_seconds: float) -> None:
    """Nothing is lost and packets keep their order; their silence in between is left out when they come."""
    draws, live_input = np.random.default_rng(0), LiveInput(lambda record: None, sample_rate=RATE, channels=1)
    got, arrivals, last = [], [], 0.0
    for first in range(0, 60 * RATE, 5 * CHUNK):
        last = max(last, (first + 5 * CHUNK) / RATE + draws.exponential(jitter_seconds))
        arrivals.append((last, first))
    for chunk in range(60 * RATE // CHUNK):
        while arrivals and arrivals[0][0] * RATE <= chunk * CHUNK:
            first = arrivals.pop(0)[1]
            live_input.hear(sound(first, 5 * CHUNK), first_sample=first)
        live_input.dry(np.zeros((CHUNK, 1), np.float32))
        if chunk % 45 == 44:
            got.append(live_input.drained(played_samples=(chunk + 1) * CHUNK))
    heard = np.concatenate(got)[:, 0]
    places = (np.arange(len(heard)) / RATE).astype(np.float32)
    assert np.array_equal(heard[heard > 0.0], places[heard > 0.0]) and (heard > 0.0).mean() > 0.5


def test_without_a_hiccup_nothing_is_moved() -> None:
    assert np.array_equal(handed_on(gone=(), counted=False, kept=False)[:, None], sound(0, 19 * RATE + 6400))


def misplaced_seconds(live_input: LiveInput, *, made: range, counted: bool) -> float:
    """How far off its place the newest sound is after 30 s, when no block is made but at the chunks of `made`."""
    got = [np.zeros((0, 1), np.float32)]
    for chunk in range(30 * RATE // CHUNK):
        first = chunk * CHUNK
        live_input.hear(sound(first), first_sample=first if counted else None)
        live_input.dry(np.zeros((CHUNK, 1), np.float32))
        if chunk in made:
            got.append(live_input.drained(played_samples=first + CHUNK))
    heard = np.concatenate(got)[:, 0]
    return abs(float(heard[-1]) - (len(heard) - 1) / RATE)


@pytest.mark.parametrize("counted", [False, True])
def test_what_no_ring_could_hold_is_not_counted_as_heard(counted: bool) -> None:
    """No block is made for 14 s, longer than sound is kept; from then on all is in its place."""
    live_input = LiveInput(lambda record: None, sample_rate=RATE, channels=1)
    assert misplaced_seconds(live_input, made=range(1399, 3000, 50), counted=counted) <= CHUNK / RATE + 1e-6


def test_a_packet_that_has_come_ends_the_silence_before_the_callback_knows() -> None:
    """Blocks are made between the end of short pauses and the next callback, again and again; nothing was lost."""
    live_input, told = LiveInput(lambda record: None, sample_rate=RATE, channels=1), []
    live_input._place.placed = lambda samples, *, silent_samples, **_: told.append(silent_samples) or samples
    for pause in range(5):
        for _ in range(20):
            live_input.dry(np.zeros((CHUNK, 1), np.float32))
        live_input.hear(sound(20 * pause * CHUNK, 20 * CHUNK))
        live_input.drained(played_samples=20 * (pause + 1) * CHUNK)
    assert told == [0] * 5


def steady(late: int = 0) -> InputPlace:
    """A second of sound that came `late` samples after it was played, in pieces of 400."""
    place = InputPlace(4000)
    for first in range(0, 8000, 400):
        place.placed(sound(first, 400), played_samples=first + 400 + late, silent_samples=0)
    return place


def test_what_stopped_is_silent_and_what_came_before_it_keeps_its_place() -> None:
    place = InputPlace(4000)
    assert len(place.placed(sound(0, 1000), played_samples=1000, silent_samples=0)) == 1000
    rest = place.placed(sound(1000, 500), played_samples=11_000, silent_samples=9500)
    assert np.array_equal(rest[:500], sound(1000, 500)) and not rest[500:].any()
    assert place.handed_samples == 11_000 - 4000, "half a second is waited for"
    back = place.placed(sound(11_900, 100), played_samples=12_000, silent_samples=0)
    assert place.handed_samples == 12_000 and np.array_equal(back[-100:], sound(11_900, 100))


def test_a_source_that_is_always_late_stays_so() -> None:
    """It began 300 samples behind what was played; after a stop it is put there again."""
    place = steady(late=300)
    place.placed(sound(0, 0), played_samples=20_000, silent_samples=11_600)
    place.placed(sound(20_000, 400), played_samples=20_700, silent_samples=0)
    assert place.handed_samples == 20_400


def stopped_and_back(place: InputPlace, *, ahead: int, wrong: int = 0) -> int:
    """How far ahead of what is played the input is after a stop, when it was `ahead` before; one measure is `wrong`."""
    for first in range(0, 8000, 400):
        played = place.handed_samples + 400 - ahead
        place.placed(sound(first, 400), played_samples=played, silent_samples=wrong if first == 2000 else 0)
    place.placed(sound(0, 0), played_samples=played + 12_000, silent_samples=12_000)
    place.placed(sound(20_000, 400), played_samples=played + 12_400, silent_samples=0)
    place.placed(sound(20_400, 400), played_samples=played + 12_800, silent_samples=0)
    return place.handed_samples - (played + 12_800)


@pytest.mark.parametrize("ahead", [0, 800, 5000])
def test_silence_that_was_heard_before_anything_was_played_tells_nothing(ahead: int) -> None:
    """A page's session hears the time of its line as silence; the line then takes less than that, always the same."""
    place = InputPlace(4000)
    assert len(place.placed(sound(0, 5600), played_samples=0, silent_samples=0)) == 5600
    assert stopped_and_back(place, ahead=ahead) == ahead


def test_one_measure_that_is_wrong_is_not_believed() -> None:
    """Threads cross: a block is made between the arrival of a packet and the callback that notices it."""
    assert stopped_and_back(InputPlace(4000), ahead=0, wrong=3600) == 0


def test_what_comes_late_in_two_parts_is_in_its_place_too() -> None:
    """A block is made in the middle of a burst: what it got is taken for the newest, until the rest has come."""
    place = steady()
    place.placed(sound(0, 0), played_samples=20_000, silent_samples=12_000)
    place.placed(sound(8000, 6000), played_samples=20_000, silent_samples=0)
    late = place.placed(sound(14_000, 6400), played_samples=20_400, silent_samples=0)
    assert place.handed_samples == 20_400 and np.array_equal(late, sound(20_000, 400))


@pytest.mark.parametrize("stall_seconds", [4.0, 11.0, 40.0])
def test_what_is_fed_back_is_in_its_place_after_any_stall(stall_seconds: float) -> None:
    """The ring remembers so much; the rest of a longer stall is silence, and nothing waits for ever."""
    loop, played, joined = FeedbackLoop(1, RATE), 0, []
    for chunk in range(int((10.0 + stall_seconds) * RATE) // CHUNK):
        loop.send(sound(chunk * CHUNK))
        played += CHUNK
        if not 3.0 <= played / RATE < 3.0 + stall_seconds:
            missing = played - sum(map(len, joined)) - loop.waiting_samples
            joined.append(loop.joined(np.zeros((missing, 1), np.float32)))
    back = np.concatenate(joined)
    kept = round((3.0 + KEPT_SECONDS) * RATE) - CHUNK
    assert np.array_equal(back[: min(kept, len(back))], sound(0, min(kept, len(back))))
    assert np.array_equal(back[-RATE:], sound(len(back) - RATE, RATE)) and played - len(back) <= CHUNK


def test_compute_counts_listening() -> None:
    """What a mode takes for hearing is in the record of its block: deadlines are missed by it as well."""
    from lmdm_adapter.session.modes import StreamMode
    from tests.session_makers import noise_engine
    from tests.test_session_jam import RATE as JAM_RATE

    class SlowEars(StreamMode):
        def hear(self, samples: np.ndarray) -> None:
            clock.seconds += 0.25

    class HandClock:
        seconds = 0.0

        def now(self) -> float:
            return self.seconds

    clock: Any = HandClock()
    engine = noise_engine(mode=SlowEars(), clock=clock, source=(JAM_RATE, 2))
    engine.hear(np.zeros((50, 2), np.float32))
    assert engine.produce()
    (block,) = [record for record in engine.noted() if record["kind"] == "block"]
    assert block["compute_seconds"] == pytest.approx(0.25)
