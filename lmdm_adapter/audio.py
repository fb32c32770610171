"""Audio that knows its rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True, eq=False)
class Audio:
    """A piece of sound: `samples` is float32 of shape (channels, samples), `sample_rate` is in Hz.

    Raises LmdmError when the shape is not two-dimensional or the rate is not positive.
    """

    samples: np.ndarray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2:
            raise LmdmError(f"Audio needs samples of shape (channels, samples), got {self.samples.shape}.")
        if self.sample_rate <= 0:
            raise LmdmError(f"Audio needs a positive sample rate in Hz, got {self.sample_rate}.")
        object.__setattr__(self, "samples", np.ascontiguousarray(self.samples, dtype=np.float32))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.samples.shape[0]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate

    def __repr__(self) -> str:
        return f"Audio({self.seconds:.3f} s, {self.channels} ch, {self.sample_rate} Hz)"
