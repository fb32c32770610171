"""The latency of a mode, part by part: what a player must wait for, and why.

The block sets the delay of the generative delay, not the compute ("Live Music Diffusion Models", arXiv 2605.22717).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class Budget:
    """Named parts of a latency in seconds, in the order in which sound meets them.

    Raises LmdmError for a part that is negative or no number.
    """

    mode: str
    parts: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        for name, seconds in self.parts:
            if not 0.0 <= seconds < math.inf:
                raise LmdmError(f"The latency of {name} must be 0 s or more, got {seconds}.")

    @property
    def total_seconds(self) -> float:
        """All parts together."""
        return math.fsum(seconds for _, seconds in self.parts)

    def __str__(self) -> str:
        width = max(len(name) for name, _ in (*self.parts, ("total", 0.0)))
        rows = [
            f"  {name:<{width}}  {seconds:7.3f} s" for name, seconds in (*self.parts, ("total", self.total_seconds))
        ]
        return "\n".join([f"Latency of {self.mode}:", *rows])

    def to_json(self) -> dict[str, Any]:
        """The parts and their sum."""
        return {"mode": self.mode, "parts_seconds": dict(self.parts), "total_seconds": self.total_seconds}


@dataclass(frozen=True)
class Timing:
    """What the parts of a budget are made of: lengths in frames, times in seconds, `frame_rate_hz` frames a second.

    `resampling_seconds` is how much later than it came what is heard is known, where it is resampled.
    """

    frame_rate_hz: float
    block_frames: int
    hold_back_frames: int
    device_seconds: float = 0.0
    compute_seconds: float = 0.0
    resampling_seconds: float = 0.0

    @property
    def block_seconds(self) -> float:
        """Length of a block."""
        return self.block_frames / self.frame_rate_hz

    @property
    def hold_back_seconds(self) -> float:
        """How far audio lags behind latents in the decoder."""
        return self.hold_back_frames / self.frame_rate_hz

    @property
    def hearing_seconds(self) -> float:
        """The device's part for whoever listens: its round trip, and what resampling holds."""
        return self.device_seconds + self.resampling_seconds

    def lead_seconds(self, asked_seconds: float) -> float:
        """The lead, in which blocks are computed: as asked, unless that takes longer."""
        return max(asked_seconds, self.compute_seconds)


def stream_budget(timing: Timing, *, lead_seconds: float) -> Budget:
    """From turning a knob to hearing it: what is made already (the lead) is played first, then a border must come.

    The lead is sound that has left the decoder, so the border lies its hold-back further on. Blocks are computed while
    the lead is played: compute is no part of its own, and where it takes longer, the lead has to be as long.
    """
    return Budget("stream", (
        ("device", timing.device_seconds), ("lead", timing.lead_seconds(lead_seconds)),
        ("up to one block", timing.block_seconds), ("decoder hold-back", timing.hold_back_seconds),
    ))  # fmt: skip


def delay_budget(timing: Timing, *, lead_seconds: float, feature_look_ahead_seconds: float) -> Budget:
    """From a sound played to its answer in the generative delay, at the least; computed within the lead."""
    return Budget("delay", (
        ("device", timing.hearing_seconds), ("block", timing.block_seconds),
        ("feature look-ahead", feature_look_ahead_seconds), ("lead", timing.lead_seconds(lead_seconds)),
        ("decoder hold-back", timing.hold_back_seconds),
    ))  # fmt: skip


def jam_budget(timing: Timing, *, encoder_look_ahead_seconds: float, slack_seconds: float) -> Budget:
    """From a sound played to the first music that heard it; `slack_seconds` holds the lead, in which is computed."""
    return Budget("jam", (
        ("device", timing.hearing_seconds), ("encoder look-ahead", encoder_look_ahead_seconds),
        ("slack", slack_seconds), ("up to one block", timing.block_seconds),
        ("decoder hold-back", timing.hold_back_seconds),
    ))  # fmt: skip


def require_delay(delay_seconds: float, budget: Budget, *, bpm: float | None = None) -> None:
    """Refuse a delay that `budget` does not allow. Raises LmdmError with the shortest that works, in beats too."""
    if delay_seconds >= budget.total_seconds:
        return
    shortest = f"{math.ceil(budget.total_seconds * 1000.0) / 1000.0:.3f} s"
    if bpm is not None:
        shortest += f", which is {math.ceil(budget.total_seconds * bpm / 60.0)} beats at {bpm:g} BPM"
    parts = ", ".join(f"{name} {seconds:.3f}" for name, seconds in budget.parts)
    raise LmdmError(f"A delay of {delay_seconds:.3f} s is too short ({parts}); the shortest that works is {shortest}.")
