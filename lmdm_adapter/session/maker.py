"""What the session asks of a model: `LiveModel`, or anything that makes blocks as it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.budget import Timing
from lmdm_adapter.spec import Sampling

FrameControls = Mapping[str, np.ndarray]
"""Frame controls by name, `c n` each."""


class Maker(Protocol):
    """Makes one block at a time through values: a state in, audio and the state after it out."""

    def step(
        self, state: Any, prompt: Controls, *, sampling: Sampling | None = None, frames: int | None = None,
        frame_controls: FrameControls | None = None,
    ) -> tuple[Audio, Any]:  # fmt: skip
        """One block of `frames`; its audio may lag behind by the decoder's hold-back."""
        ...

    def recache(self, state: Any) -> Any:
        """The state whose context is heard anew."""
        ...

    def forget(self, state: Any, blocks: int) -> Any:
        """The state without the oldest blocks of its context."""
        ...

    def rewind(self, state: Any, blocks: int) -> Any:
        """The state of some blocks ago."""
        ...


@dataclass(frozen=True)
class Facts:
    """What of a maker does not change while it plays; `model` is its digest, if it has one.

    Raises LmdmError for lengths or a rate that are not positive.
    """

    sample_rate: int
    channels: int
    frame_samples: int
    block_frames: int
    hold_back_frames: int = 0
    sampling: Sampling = Sampling()
    model: str | None = None

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.channels, self.frame_samples, self.block_frames) < 1:
            raise LmdmError(f"A maker has a rate, channels, frames and blocks, got {self}.")

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.frame_samples

    @property
    def block_seconds(self) -> float:
        """Length of a usual block."""
        return self.block_frames / self.frame_rate_hz

    def timing(
        self, *, device_seconds: float = 0.0, compute_seconds: float = 0.0, resampling_seconds: float = 0.0,
        block_frames: int | None = None,
    ) -> Timing:  # fmt: skip
        """What a latency budget is made of; `block_frames` None are the usual ones."""
        return Timing(self.frame_rate_hz, block_frames or self.block_frames, self.hold_back_frames, device_seconds,
                      compute_seconds, resampling_seconds)  # fmt: skip


def facts_of(live: LiveModel, *, look_ahead_frames: int | None = None) -> Facts:
    """The facts of a live model whose audio is decoded with that look-ahead (None: exactly)."""
    codec = live.codec
    hold_back = codec.hold_back_frames if look_ahead_frames is None else look_ahead_frames
    return Facts(codec.sample_rate, codec.channels, codec.frame_samples, live.spec.block_frames, hold_back,
                 live.sampling, live.digest)  # fmt: skip
