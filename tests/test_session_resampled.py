"""A live input at another rate: in its place to the sample, and known in time at what budgets allow, in every mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import resampling_seconds
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.live_input import LiveInput
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.modes import StreamMode
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation
from lmdm_adapter.session.sketch_mode import SketchMode, following_budget
from tests.mode_models import CONFIG, FRAME, PLAN, RATE, EchoMaker, Nothing, RawEars, listening_live

SOURCE_RATE = 48_000
TIMES = SOURCE_RATE // RATE
LIVE = listening_live(steps=1)
FACTS = facts_of(LIVE)
HELD = resampling_seconds(SOURCE_RATE, RATE)
HELD_SAMPLES = math.ceil(HELD * RATE)
LEAD_SECONDS = PLAN.governor.lead_seconds


class Silent(EchoMaker):
    """Makes silence that leaves the decoder as late as a real model's music; its state counts the frames."""

    def step(self, state: int, prompt: Any, *, frames: int = 0, **told: Any) -> Any:
        """One block, without what is held back at the session's beginning."""
        before, after = (max(0, made - self.facts.hold_back_frames) for made in (state, state + frames))
        return Audio(np.zeros((1, (after - before) * FRAME), np.float32), RATE), state + frames


def shortest_delay(held: int) -> DelayMode:
    """The shortest delay that a session accepts."""
    timing = FACTS.timing(resampling_seconds=held / RATE)
    shortest = following_budget("delay", CONFIG, timing, lead_seconds=LEAD_SECONDS).total_seconds
    with pytest.raises(LmdmError, match="is too short"):
        DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=shortest - 1 / RATE, resampling_samples=held)
    return DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=shortest, resampling_samples=held)


MODES: dict[str, Callable[[int], Any]] = {
    "delay": shortest_delay,
    "sketch": lambda held: SketchMode.following(CONFIG, FACTS, PLAN, resampling_samples=held),
    "jam": lambda held: JamMode(
        listening := Listening(LIVE.codec), JamTiming.live(listening, FACTS, PLAN, resampling_samples=held)
    ),
}


def frames_to_spare(mode: Any, source_rate: int) -> int:
    """How many frames more than the blocks of a session read were known when they were made, at the least."""
    spare, told = [], mode.frame_controls

    def watched(first: int, frames: int) -> Any:
        jam = isinstance(mode, JamMode)
        read_end = first + frames + (-mode.timing.lag_frames if jam else CONFIG.widest_frames // 2)
        spare.append((mode.heard if jam else mode.line).end_frame - read_end)
        return told(first, frames)

    def hears(first: int, count: int) -> np.ndarray:
        shape = (count * source_rate // RATE, 1)
        return np.random.default_rng(first).uniform(-0.5, 0.5, shape).astype(np.float32)

    mode.frame_controls = watched
    session = Simulation(
        Silent(FACTS), FACTS, state=0, times=ComputeTimes(share=0.3), mode=mode, plan=PLAN,
        device=Device((40,), hears=hears, source=(source_rate, 1)), values={"prompt": "house"},
    )  # fmt: skip
    session.run(2.0)
    assert len(spare) > 30 and session.engine.player.holds == 0
    return min(spare)


@pytest.mark.parametrize("name", MODES)
def test_no_frame_of_a_block_comes_too_late(name: str) -> None:
    assert 0 <= frames_to_spare(MODES[name](0), RATE) <= 2, "at the session's own rate, and nothing is waited for"
    assert frames_to_spare(MODES[name](HELD_SAMPLES), SOURCE_RATE) >= 0
    assert frames_to_spare(MODES[name](0), SOURCE_RATE) < 0, "what the resampler holds is needed"


@pytest.mark.parametrize("device_samples", [0, 70])
def test_what_is_heard_is_counted_from_what_was_played_at_another_rate_too(device_samples: int) -> None:
    """The answer to a sound lies a delay after it, at the sample: a resampler holds it back, and does not move it."""
    facts = Facts(RATE, 2, FRAME, block_frames=6)
    mode = DelayMode.of(CONFIG, facts, PLAN, delay_seconds=0.5, device_samples=device_samples,
                        resampling_samples=HELD_SAMPLES, ears=RawEars())  # fmt: skip
    engine = Engine(EchoMaker(facts), facts, mode, state=Nothing(), plan=PLAN, source=(SOURCE_RATE, 2))
    heard = np.random.default_rng(0).uniform(-0.5, 0.5, (SOURCE_RATE, 2)).astype(np.float32)
    late = np.concatenate([np.zeros((device_samples * TIMES, 2), np.float32), heard])
    out = np.zeros((len(heard) // TIMES, 2), np.float32)
    for first in range(0, len(out), 40):
        while engine.produce():
            continue
        engine.hear(late[first * TIMES : (first + 40) * TIMES])
        engine.pull(out[first : first + 40])
    answered = soxr.resample(heard, SOURCE_RATE, RATE)[: len(out) - round(0.5 * RATE)]
    middle = slice(200, -200)
    assert np.abs(out[round(0.5 * RATE) :][middle] - answered[middle]).max() < 1e-3 < np.abs(answered).max()


@pytest.mark.parametrize("rates", [(48_000, 44_100), (44_100, 22_050), (8000, 22_050), (22_050, 48_000)])
@pytest.mark.parametrize("chunk", [1, 512])
def test_a_resampler_holds_no_sound_longer_than_it_is_said_to(rates: tuple[int, int], chunk: int) -> None:
    source, target = rates
    stream, taken, given, longest = soxr.ResampleStream(*rates, 1, dtype="float32"), 0, 0, 0.0
    while taken < source // (3 if chunk == 1 else 1):
        given += len(stream.resample_chunk(np.zeros((chunk, 1), np.float32)))
        taken += chunk
        longest = max(longest, taken / source - given / target)
    assert 0.95 * resampling_seconds(*rates) - 0.001 < longest <= resampling_seconds(*rates)
    assert resampling_seconds(source, source) == 0.0


def engine_of(mode: Any) -> Engine:
    """A session of `mode` with an input at another rate."""
    return Engine(Silent(FACTS), FACTS, mode, state=0, plan=PLAN, source=(SOURCE_RATE, 1))


def test_the_budget_of_a_session_says_what_its_input_holds() -> None:
    for mode, held in ((shortest_delay(HELD_SAMPLES), HELD), (StreamMode(), 0.0)):
        assert dict(engine_of(mode).budget(device_seconds=0.01).parts)["device"] == pytest.approx(0.01 + held)
    shortest = engine_of(shortest_delay(HELD_SAMPLES))
    assert shortest.mode.late_samples == pytest.approx(shortest.budget().total_seconds * RATE, abs=1)
    assert LiveInput(print, sample_rate=RATE, channels=1).resampling_seconds == 0.0
