"""One recording while it grows: a WAV file and its log, both whole at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmdm_adapter.demo.record_log import line_of
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.wav import HEADER_BYTES, SAMPLE_BYTES, CrashSafeWav


class Recording:
    """`NAME.wav` and `NAME.jsonl` in a folder. Raises LmdmError where they cannot be made or written.

    `header` is the log's first record, `earlier` are lines about the time before.
    """

    def __init__(
        self, folder: Path, name: str, *, header: Mapping[str, Any], earlier: Iterable[str], channels: int,
        sample_rate: int,
    ) -> None:  # fmt: skip
        self.name, self.sample_rate, self.log_bytes, self.open = name, sample_rate, 0, True
        self._sample_bytes = SAMPLE_BYTES * channels
        self.wav_path, self.log_path = folder / f"{name}.wav", folder / f"{name}.jsonl"
        lines = [line_of(header), *earlier]
        self._wav = CrashSafeWav(self.wav_path, channels=channels, sample_rate=sample_rate)
        try:
            self._log = open(self.log_path, "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise LmdmError(f"Cannot write {self.log_path.name}: {error.strerror or error}.") from error
        self.write(lines)

    @property
    def samples(self) -> int:
        """Samples per channel in the WAV file."""
        return self._wav.samples_written

    @property
    def seconds(self) -> float:
        """Length of the WAV file's sound."""
        return self.samples / self.sample_rate

    @property
    def bytes(self) -> int:
        """What both files take of the disk."""
        return HEADER_BYTES + self.samples * self._sample_bytes + self.log_bytes

    def write(self, lines: Iterable[str], samples: np.ndarray | None = None) -> None:
        """Append to both files; what was given is in them when this returns. `samples` is `s ch` float32.

        Raises LmdmError when the disk is full; what was written before stays.
        """
        text = "".join(lines)
        try:
            self._log.write(text)
            self._log.flush()
        except OSError as error:
            raise LmdmError(f"The recording ended: {error.strerror or error}.") from error
        self.log_bytes += len(text.encode())
        if samples is not None:
            self._wav.write(samples)

    def close(self, lines: Iterable[str] = (), *, why: str | None = None) -> None:
        """End it with last lines; closing twice is no mistake. Raises nothing: all samples are there."""
        if not self.open:
            return
        self.open = False
        try:
            self.write([*lines, line_of({"kind": "end", "samples": self.samples, "why": why})])
            self._log.close()
        except (LmdmError, OSError):
            # A log without its last line is read as one that was cut off.
            return
        finally:
            self._wav.close()
