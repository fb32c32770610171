"""Levels of what passes by, taken in a device's callback without new memory."""

from __future__ import annotations

import math

import numpy as np

WORK_SAMPLES = 1024
FLOOR_DB = -90.0


class Meter:
    """The highest level of each channel since it was last asked. One thread sees, another asks."""

    def __init__(self, channels: int) -> None:
        self._peaks, self._new = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        self._work = np.zeros((WORK_SAMPLES, channels), np.float32)

    def see(self, samples: np.ndarray) -> None:
        """Samples that pass by, `s ch`."""
        for start in range(0, len(samples), WORK_SAMPLES):
            piece = samples[start : start + WORK_SAMPLES]
            work = self._work[: len(piece)]
            np.abs(piece, out=work)
            # NaN must not stay in the meter for ever: fmax passes over it.
            np.fmax.reduce(work, axis=0, out=self._new)
            np.fmax(self._peaks, self._new, out=self._peaks)

    def levels_db(self) -> tuple[float, ...]:
        """Levels in dB of full scale since the last call; silence is `FLOOR_DB`."""
        peaks = self._peaks.tolist()
        self._peaks[:] = 0.0
        return tuple(max(FLOOR_DB, 20.0 * math.log10(peak)) if 0.0 < peak < math.inf else FLOOR_DB for peak in peaks)
