"""The live input: whatever a device or browser sends, made fit for the session, and indexed sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import LARGEST_RATIO, mixed, resampling_seconds
from lmdm_adapter.session.input_place import InputPlace
from lmdm_adapter.session.ring import AudioRing
from lmdm_adapter.session.troubles import Troubles

KEPT_SECONDS = 10.0
LONGEST_GAP_SECONDS = 2.0
"""A longer hole in the input's counting is taken for a clock that was set, and not filled."""
STOPPED_SECONDS = 0.5
MOST_DRY_SECONDS = 0.25
"""How far the dry sound may lag behind before it is cut short."""


class LiveInput:
    """Takes chunks of any length, rate and channel count; gives them to the mode and to the dry side of the mixer.

    One thread calls `hear`, the making thread `drained`, the playing thread `dry`. NaN becomes silence and is counted.
    A hole in the counting is filled with silence, what came twice is dropped, longer jumps are skipped over; an input
    that stops is silence. Each of these is announced as it begins and as it ends (`Troubles`). Resampled sound is in
    its place, but known up to `resampling_seconds` later.
    Raises LmdmError for a rate that cannot be resampled, or channels that cannot be mixed.
    """

    def __init__(
        self, announce: Callable[[dict[str, Any]], None], *, sample_rate: int, channels: int,
        source_rate: int | None = None, source_channels: int | None = None,
    ) -> None:  # fmt: skip
        self.source_rate, self.source_channels = source_rate or sample_rate, source_channels or channels
        self.nan_samples = self.missed_samples = 0
        self._rate, self._channels = sample_rate, channels
        if not 1 / LARGEST_RATIO <= sample_rate / self.source_rate <= LARGEST_RATIO:
            raise LmdmError(f"An input at {self.source_rate} Hz cannot be resampled to {sample_rate} Hz.")
        self.resampling_seconds = resampling_seconds(self.source_rate, sample_rate)
        mixed(np.zeros((self.source_channels, 0), np.float32), channels)
        self._resample = None if self.source_rate == sample_rate else soxr.ResampleStream(
            self.source_rate, sample_rate, channels, dtype="float32"
        )  # fmt: skip
        room = round(KEPT_SECONDS * sample_rate)
        self._mode_ring, self._dry_ring = AudioRing(channels, room), AudioRing(channels, room)
        self._expected = self._silent_samples = 0
        self._counts = self._jumped = False
        self._place = InputPlace(round(STOPPED_SECONDS * sample_rate))
        self._troubles = Troubles(announce)

    def hear(self, samples: np.ndarray, *, first_sample: int | None = None) -> None:
        """The next chunk, `s ch` at the source's rate; `first_sample` is its index where the source counts.

        Raises LmdmError for another shape than the source's.
        """
        if samples.ndim != 2 or samples.shape[1] != self.source_channels:
            raise LmdmError(f"The input has {self.source_channels} channels, got a chunk of shape {samples.shape}.")
        clean = self._without_nan(np.asarray(samples, np.float32))
        self._counts = first_sample is not None
        if first_sample is not None:
            clean = self._in_place(clean, first_sample)
        self._expected += len(clean)
        fitted = np.ascontiguousarray(mixed(clean.T, self._channels).T)
        if self._resample is not None:
            fitted = self._resample.resample_chunk(fitted)
        refused = len(fitted) - self._mode_ring.write(fitted)
        self._jumped |= refused > 0
        self._troubles.tell("overrun", refused > 0, samples=refused)
        self._dry_ring.write(fitted)
        self._silent_samples = 0

    def drained(self, *, played_samples: int = 0) -> np.ndarray:
        """Everything that has come since the last call, `s ch` at the session's rate. For the making thread.

        Of an input that is more than `STOPPED_SECONDS` behind what was played, the rest up to there is silence; when it
        comes back it is in its place again (`InputPlace`).
        """
        out = np.empty((self._mode_ring.readable_samples, self._channels), np.float32)
        self._mode_ring.read(out)
        counted = self._counts and not self._jumped
        self._jumped &= not len(out)
        return self._place.placed(
            out, played_samples=played_samples, silent_samples=self._silent_samples, counted=counted
        )  # fmt: skip

    def dry(self, out: np.ndarray) -> None:
        """Fill `out` (`s ch`) with what is played beside the music; silence where nothing came. For the callback."""
        late = self._dry_ring.readable_samples - len(out)
        if late > MOST_DRY_SECONDS * self._rate:
            self._dry_ring.skip(late)
        count = self._dry_ring.read(out)
        out[count:] = 0.0
        self.missed_samples += len(out) - count
        self._silent_samples = 0 if count else self._silent_samples + len(out)
        self._troubles.tell("stopped", self._silent_samples >= STOPPED_SECONDS * self._rate)

    def _without_nan(self, samples: np.ndarray) -> np.ndarray:
        finite = np.isfinite(samples)
        bad = int(samples.size - np.count_nonzero(finite))
        self.nan_samples += bad
        self._troubles.tell("nan", bad > 0, samples=bad)
        return np.where(finite, samples, np.float32(0.0)) if bad else samples

    def _in_place(self, samples: np.ndarray, first_sample: int) -> np.ndarray:
        """`samples` with a hole before them filled, or what had come already dropped."""
        gap = first_sample - self._expected
        jumped = abs(gap) > LONGEST_GAP_SECONDS * self.source_rate
        self._troubles.tell("gap", gap != 0 and not jumped, samples=gap)
        self._troubles.tell("jump", jumped, samples=gap)
        if jumped:
            self._expected, self._jumped = first_sample, True
            return samples
        if gap <= 0:
            return samples[-gap:] if gap else samples
        return np.concatenate([np.zeros((gap, samples.shape[1]), np.float32), samples])
