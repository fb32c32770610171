"""A sound that is known from its beginning, and begins again when it is over."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.errors import LmdmError


class LoopedSound:
    """A sound, `s ch`, that begins again when it is over. Raises LmdmError for one without samples."""

    def __init__(self, samples: np.ndarray) -> None:
        if samples.ndim != 2 or not len(samples):
            raise LmdmError(f"A sound has samples and channels (s ch), got shape {samples.shape}.")
        self.samples, self.position = samples, 0

    def next(self, count: int) -> np.ndarray:
        """The next `count` samples, `s ch`."""
        self.position += count
        return self.at(self.position - count, count)

    def at(self, first_sample: int, count: int) -> np.ndarray:
        """`count` samples, `s ch`, from that one of the endless sound on; the place of `next` stays."""
        places = (first_sample + np.arange(count)) % len(self.samples)
        return np.ascontiguousarray(self.samples[places], np.float32)
