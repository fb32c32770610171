"""Places after a turn: a hold repeats a bar of the new tempo, and stamps count from what is really heard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.modes import StreamMode
from tests.session_makers import BLOCK_SAMPLES, FACTS, PLAN, NoiseMaker, NoiseState, noise_engine, played

HELD = 3 * FACTS.frame_samples


def test_a_hold_repeats_a_bar_of_the_tempo_that_was_turned() -> None:
    engine = noise_engine(values={"prompt": "a", "tempo_bpm": 240.0, "beats_per_bar": 2})
    played(engine, 4000)
    engine.turn("tempo_bpm", 120.0)
    engine.turn("beats_per_bar", 3)
    played(engine, 14_000)
    engine.pull(np.zeros((9000, 2), np.float32))
    (hold,) = [record for record in engine.noted() if record["kind"] == "hold"]
    assert hold["loop"] == 3 * 60 * FACTS.sample_rate // 120, "three beats at 120 BPM"


@dataclass(frozen=True)
class HeldState(NoiseState):
    """What the decoder has not given yet, `ch s`."""

    held: bytes = b""


class HoldingBack(NoiseMaker):
    """Noise through a decoder that keeps the last three frames back, and lags anew after a cold start."""

    def step(self, state: HeldState, prompt: Any, **settings: Any) -> tuple[Audio, HeldState]:
        """One block; the first is shorter."""
        audio, after = super().step(state, prompt, **settings)
        held = np.frombuffer(state.held, np.float32).reshape(self.facts.channels, -1)
        samples = np.concatenate([held, audio.samples], axis=1)
        given, kept = np.split(samples, [samples.shape[1] - HELD], axis=1)
        return Audio(np.ascontiguousarray(given), audio.sample_rate), replace(after, held=kept.tobytes())

    def rewind(self, state: HeldState, blocks: int) -> HeldState:
        """To the cold start; these tests go nowhere else."""
        assert blocks == state.block
        return HeldState()


def after_a_rewind(stamp: int | None) -> tuple[np.ndarray, Engine]:
    """A session that goes back to its start after four blocks; at `stamp` it is told another prompt."""
    facts = replace(FACTS, hold_back_frames=HELD // FACTS.frame_samples)
    engine = Engine(HoldingBack(facts), facts, StreamMode(), state=HeldState(), plan=PLAN, values={"prompt": "a"})
    engine.turn("rewind_blocks", 4, at=3 * BLOCK_SAMPLES + 1)
    if stamp is not None:
        engine.turn("prompt", "b", at=stamp)
    return played(engine, 9 * BLOCK_SAMPLES), engine


def test_after_going_back_to_a_cold_start_stamps_count_from_what_is_heard() -> None:
    """The decoder lags anew, so from there on every border lies that much earlier than by its frames."""
    still = after_a_rewind(None)[0]
    border = 6 * BLOCK_SAMPLES - HELD
    for stamp, heard in ((border - BLOCK_SAMPLES + 1, border), (border, border), (border + 1, border + BLOCK_SAMPLES)):
        changed, engine = after_a_rewind(stamp)
        told = [record for record in engine.noted() if record["kind"] == "event" and record["name"] == "prompt"]
        first = int(np.flatnonzero((changed != still).any(axis=1))[0])
        assert (first, told[0]["effect"]) == (heard, heard)
