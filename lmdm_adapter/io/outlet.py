"""From a session's samples to a device's: other channels, and where need be another rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import soxr

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import LARGEST_RATIO, resampling_seconds
from lmdm_adapter.session.ring import AudioRing

Pull = Callable[[np.ndarray], None]

WORK_SAMPLES = 1024
PULLED_SAMPLES = 128
"""What is pulled at once where the rate differs: little, so that little waits."""


class Outlet(Protocol):
    """Fills a device's room, `s ch`. `held_seconds` is how much later than at `pull` a sample comes out."""

    held_seconds: float

    def fill(self, out: np.ndarray) -> None:
        """Fill `out` with the next samples."""
        ...


class SameRate:
    """Passes samples on as they are; to a device of other channels as their mean, or on all of them alike."""

    held_seconds = 0.0

    def __init__(self, pull: Pull, *, channels: int, device_channels: int) -> None:
        self._pull, self._same = pull, channels == device_channels
        self._work = np.zeros((WORK_SAMPLES, channels), np.float32)

    def fill(self, out: np.ndarray) -> None:
        """Fill `out` with the next samples."""
        if self._same:
            self._pull(out)
            return
        for start in range(0, len(out), WORK_SAMPLES):
            piece = out[start : start + WORK_SAMPLES]
            work = self._work[: len(piece)]
            self._pull(work)
            spread(work, piece)


class OtherRate:
    """Passes samples on at the device's rate. The resampler takes memory of its own, a few KiB at a time.

    Raises LmdmError for rates too far apart.
    """

    def __init__(self, pull: Pull, *, channels: int, device_channels: int, sample_rate: int, device_rate: int) -> None:
        if not 1 / LARGEST_RATIO <= device_rate / sample_rate <= LARGEST_RATIO:
            raise LmdmError(f"Sound at {sample_rate} Hz cannot be resampled to {device_rate} Hz.")
        self._resample = soxr.ResampleStream(sample_rate, device_rate, channels, dtype="float32")
        self._pull, self._pulled = pull, np.zeros((PULLED_SAMPLES, channels), np.float32)
        self._work = np.zeros((WORK_SAMPLES, channels), np.float32)
        self._ring = AudioRing(channels, int(8 * PULLED_SAMPLES * max(1.0, device_rate / sample_rate)) + WORK_SAMPLES)
        self._rates, self._given, self._taken = (sample_rate, device_rate), 0, 0
        self._direct = channels == device_channels

    @property
    def held_seconds(self) -> float:
        """What is in the resampler and behind it now."""
        return max(0.0, self._taken / self._rates[0] - self._given / self._rates[1])

    def fill(self, out: np.ndarray) -> None:
        """Fill `out` with the next samples."""
        for start in range(0, len(out), WORK_SAMPLES):
            piece = out[start : start + WORK_SAMPLES]
            while self._ring.readable_samples < len(piece):
                self._pull(self._pulled)
                self._taken += len(self._pulled)
                self._ring.write(self._resample.resample_chunk(self._pulled))
            work = piece if self._direct else self._work[: len(piece)]
            self._ring.read(work)
            self._given += len(piece)
            if not self._direct:
                spread(work, piece)


def most_held_seconds(sample_rate: int, device_rate: int) -> float:
    """How much later than it was pulled a sample comes out at the most, on the way to a device of `device_rate` Hz.

    Raises LmdmError for rates too far apart.
    """
    if sample_rate == device_rate:
        return 0.0
    return resampling_seconds(sample_rate, device_rate) + PULLED_SAMPLES / sample_rate


def spread(samples: np.ndarray, out: np.ndarray) -> None:
    """`samples` (`s ch`) to a device of other channels: all to one as their mean, one to all."""
    if out.shape[1] == 1:
        np.mean(samples, axis=1, keepdims=True, out=out)
    elif samples.shape[1] == 1:
        out[:] = samples
    else:
        out[:, : samples.shape[1]] = samples[:, : out.shape[1]]
        out[:, samples.shape[1] :] = 0.0
