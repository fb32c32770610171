"""Which frames a frozen mode plays from: a loop of the last ones, again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FrozenLoop:
    """Frames `[at_frame - length_frames, at_frame)`, repeated from `at_frame` on."""

    at_frame: int
    length_frames: int

    @property
    def first_frame(self) -> int:
        """The first frame of the loop."""
        return self.at_frame - self.length_frames

    def places(self, first_frame: int, frames: int) -> np.ndarray:
        """Where in the loop (from 0 on) each of `frames` frames from `first_frame` on lies; before it, too."""
        return (np.arange(first_frame, first_frame + frames) - self.at_frame) % self.length_frames
