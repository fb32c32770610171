"""A float32 WAV file that is whole at every moment: a killed process leaves a file that plays.

The samples are written first, and then the header that counts them, in one write. Room is kept for the 64-bit sizes
of RF64 (EBU Tech 3306), which take over beyond 4 GiB. Nothing is promised for a machine that loses its power.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType

import numpy as np

from lmdm_adapter.errors import LmdmError

SAMPLE_BYTES = 4
FLOAT_FORMAT = 3
LARGEST_RIFF_BYTES = 2**32 - 1
DS64_BYTES, FORMAT_BYTES, FACT_BYTES = 28, 18, 4
HEADER_BYTES = 12 + (8 + DS64_BYTES) + (8 + FORMAT_BYTES) + (8 + FACT_BYTES) + 8


def wav_header(samples: int, *, channels: int, sample_rate: int) -> bytes:
    """The header of a float32 WAV file of so many samples per channel; RF64 where 32 bits are too few."""
    data_bytes = samples * channels * SAMPLE_BYTES
    riff_bytes = HEADER_BYTES - 8 + data_bytes
    large = riff_bytes > LARGEST_RIFF_BYTES
    # The room for the 64-bit sizes is junk to a reader of plain WAV.
    sizes = struct.pack("<QQQI", riff_bytes, data_bytes, samples, 0) if large else bytes(DS64_BYTES)
    frame_bytes = channels * SAMPLE_BYTES
    layout = struct.pack(
        "<HHIIHHH", FLOAT_FORMAT, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, 8 * SAMPLE_BYTES, 0
    )
    chunks = _chunk(b"ds64" if large else b"JUNK", sizes) + _chunk(b"fmt ", layout)
    chunks += _chunk(b"fact", struct.pack("<I", min(samples, LARGEST_RIFF_BYTES)))
    shown = (LARGEST_RIFF_BYTES, LARGEST_RIFF_BYTES) if large else (riff_bytes, data_bytes)
    start = struct.pack("<4sI4s", b"RF64" if large else b"RIFF", shown[0], b"WAVE")
    return start + chunks + struct.pack("<4sI", b"data", shown[1])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


class CrashSafeWav:
    """A WAV file that grows under its own name. Raises LmdmError when it cannot be made or written."""

    def __init__(self, path: str | os.PathLike[str], *, channels: int, sample_rate: int) -> None:
        self.path, self.samples_written = Path(path), 0
        self._channels, self._rate = channels, sample_rate
        try:
            self._file = open(self.path, "w+b", buffering=0)
        except OSError as error:
            raise self._sentence(error) from error
        self._write_at(0, self._header())

    def __enter__(self) -> CrashSafeWav:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, samples: np.ndarray) -> None:
        """Append `samples`, `s ch` float32; they are in the file when this returns."""
        if not len(samples):
            return
        place = HEADER_BYTES + self.samples_written * self._channels * SAMPLE_BYTES
        self._write_at(place, np.ascontiguousarray(samples, "<f4").tobytes())
        self.samples_written += len(samples)
        self._write_at(0, self._header())

    def close(self) -> None:
        """Nothing is left to do but to let the file go."""
        self._file.close()

    def _header(self) -> bytes:
        return wav_header(self.samples_written, channels=self._channels, sample_rate=self._rate)

    def _write_at(self, place: int, content: bytes) -> None:
        left = memoryview(content)
        try:
            self._file.seek(place)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._sentence(error) from error

    def _sentence(self, error: OSError) -> LmdmError:
        return LmdmError(f"Cannot write {self.path}: {error.strerror or error}; choose another place.")
