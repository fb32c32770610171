"""One ring between one thread that makes sound and one that plays it: interleaved, bounded, without locks."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.errors import LmdmError


class AudioRing:
    """Interleaved float32 audio from one writer to one reader. All memory is taken here, nothing grows later.

    The channels lie side by side in one buffer, so they cannot drift apart. The writer alone moves `samples_written`
    and the reader alone `samples_read`, each after its copy: no lock is needed. Counters are in samples per channel;
    `samples_refused` came when the ring was full, `samples_missed` were asked for when it was empty.
    Raises LmdmError for a ring without room or channels.
    """

    def __init__(self, channels: int, capacity_samples: int) -> None:
        if channels < 1 or capacity_samples < 1:
            raise LmdmError(f"A ring needs channels and room, got {channels} channels, {capacity_samples} samples.")
        self.channels, self.capacity_samples = channels, capacity_samples
        self.samples_written = self.samples_read = self.samples_refused = self.samples_missed = 0
        self._buffer = np.zeros((capacity_samples, channels), np.float32)

    @property
    def readable_samples(self) -> int:
        """What the reader may take now."""
        return self.samples_written - self.samples_read

    @property
    def writable_samples(self) -> int:
        """What the writer may put now."""
        return self.capacity_samples - self.readable_samples

    def write(self, samples: np.ndarray) -> int:
        """Put the first of `samples` (`s ch`) that fit; how many that were. The rest is refused, and counted."""
        count = min(len(samples), self.writable_samples)
        start = self.samples_written % self.capacity_samples
        first = min(count, self.capacity_samples - start)
        self._buffer[start : start + first] = samples[:first]
        self._buffer[: count - first] = samples[first:count]
        self.samples_written += count
        self.samples_refused += len(samples) - count
        return count

    def read(self, out: np.ndarray) -> int:
        """Take samples into the front of `out` (`s ch`); how many there were. What is missing is counted."""
        count = self.peek(out)
        self.samples_read += count
        self.samples_missed += len(out) - count
        return count

    def peek(self, out: np.ndarray, *, skip_samples: int = 0) -> int:
        """Copy samples into the front of `out`, from `skip_samples` on, and leave them in the ring."""
        count = max(0, min(len(out), self.readable_samples - skip_samples))
        start = (self.samples_read + skip_samples) % self.capacity_samples
        first = min(count, self.capacity_samples - start)
        out[:first] = self._buffer[start : start + first]
        out[first:count] = self._buffer[: count - first]
        return count

    def skip(self, samples: int) -> int:
        """Drop up to `samples` of the oldest; how many were dropped. For the reader alone."""
        count = min(samples, self.readable_samples)
        self.samples_read += count
        return count


class Past:
    """The last samples that were played (`s ch`), for one thread; older ones are overwritten."""

    def __init__(self, channels: int, capacity_samples: int) -> None:
        self.capacity_samples, self.samples_written = capacity_samples, 0
        self._buffer = np.zeros((capacity_samples, channels), np.float32)

    @property
    def remembered_samples(self) -> int:
        """How far back `read` may go."""
        return min(self.samples_written, self.capacity_samples)

    def write(self, samples: np.ndarray) -> None:
        """Remember `samples`, which are no more than the capacity."""
        start = self.samples_written % self.capacity_samples
        first = min(len(samples), self.capacity_samples - start)
        self._buffer[start : start + first] = samples[:first]
        self._buffer[: len(samples) - first] = samples[first:]
        self.samples_written += len(samples)

    def read(self, out: np.ndarray, *, back_samples: int) -> None:
        """Fill `out` with what was played from `back_samples` ago on; it ends before now."""
        start = (self.samples_written - back_samples) % self.capacity_samples
        first = min(len(out), self.capacity_samples - start)
        out[:first] = self._buffer[start : start + first]
        out[first:] = self._buffer[: len(out) - first]
