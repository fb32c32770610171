"""Makers and sessions for tests: blocks that cost nothing and tell what they were asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.maker import Facts, FrameControls
from lmdm_adapter.session.modes import StreamMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.simulation import Device, Simulation
from lmdm_adapter.spec import Sampling

FACTS = Facts(sample_rate=8000, channels=2, frame_samples=64, block_frames=10, sampling=Sampling(steps=8))
PLAN = SessionPlan(GovernorPlan(lead_seconds=0.2, most_lead_seconds=0.8, calm_blocks=4), history_seconds=2.0)
BLOCK_SAMPLES = FACTS.block_frames * FACTS.frame_samples


@dataclass(frozen=True)
class Asked:
    """What a maker was asked for: one entry per block, in `NoiseMaker.asked`."""

    prompt: str
    steps: int
    guidance: float
    frames: int


@dataclass(frozen=True)
class NoiseState:
    """Blocks made so far; `context` tells apart what recaching and forgetting did."""

    block: int = 0
    context: tuple[str, ...] = ()


class NoiseMaker:
    """Noise that depends on all that a block is told, so any wrong cue is heard; `broken_at` makes that block fail."""

    def __init__(self, facts: Facts = FACTS, *, broken_at: int | None = None, nan_at: int | None = None) -> None:
        self.facts, self.asked, self._broken_at, self._nan_at = facts, [], broken_at, nan_at

    def step(
        self, state: NoiseState, prompt: Controls, *, sampling: Sampling | None = None, frames: int | None = None,
        frame_controls: FrameControls | None = None,
    ) -> tuple[Audio, NoiseState]:  # fmt: skip
        """One block of noise, or the "echo" control as sound."""
        assert sampling is not None and frames is not None
        if state.block == self._broken_at:
            raise RuntimeError("the device is gone")
        self.asked.append(Asked(prompt.prompts[0][0], sampling.steps, sampling.guidance, frames))
        count, channels = frames * self.facts.frame_samples, self.facts.channels
        if frame_controls is None:
            seed = (state.block, sampling.steps, round(sampling.guidance * 10), *map(ord, prompt.prompts[0][0] or " "),
                    *map(ord, "".join(state.context)))  # fmt: skip
            samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, count)).astype(np.float32)
        else:
            samples = frame_controls["echo"].T.reshape(count, channels).T
        if state.block == self._nan_at:
            samples[0, 3] = np.nan
        return Audio(samples, self.facts.sample_rate), replace(state, block=state.block + 1)

    def recache(self, state: NoiseState) -> NoiseState:
        """Leaves a mark."""
        return replace(state, context=(*state.context, f"r{state.block}"))

    def forget(self, state: NoiseState, blocks: int) -> NoiseState:
        """Leaves a mark."""
        return replace(state, context=(*state.context, f"f{blocks}")) if blocks else state

    def rewind(self, state: NoiseState, blocks: int) -> NoiseState:
        """Goes back. Raises LmdmError for more blocks than there are."""
        if blocks > state.block:
            raise LmdmError(f"This stream can be rewound by 0 to {state.block} blocks, got {blocks}.")
        return replace(state, block=state.block - blocks)


def noise_engine(maker: Any = None, **settings: Any) -> Engine:
    """An engine on noise, without a clock that matters."""
    settings = {"plan": PLAN, "state": NoiseState(), "mode": StreamMode(), "values": {"prompt": "a"}, **settings}
    mode = settings.pop("mode")
    return Engine(maker or NoiseMaker(), FACTS, mode, **settings)


def noise_simulation(maker: Any = None, **settings: Any) -> Simulation:
    """A simulated session on noise."""
    settings = {"plan": PLAN, "state": NoiseState(), "values": {"prompt": "a"}, "device": Device((160,)), **settings}
    return Simulation(maker or NoiseMaker(), FACTS, **settings)


def filled(engine: Engine) -> None:
    """Make blocks until the lead is full."""
    while engine.produce():
        continue


def played(engine: Engine, samples: int, *, chunk: int = 100) -> np.ndarray:
    """The next samples, `s ch`, pulled in chunks, with blocks made whenever they are wanted."""
    out = np.full((samples, FACTS.channels), np.nan, np.float32)
    for start in range(0, samples, chunk):
        filled(engine)
        engine.pull(out[start : start + chunk])
    return out
