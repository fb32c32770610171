"""The input of a recording beside its sound: sample for sample of the same time, whole at every moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmdm_adapter.demo.voice import Heard
from lmdm_adapter.session.wav import HEADER_BYTES, SAMPLE_BYTES, CrashSafeWav


class InputWav:
    """A WAV file whose first sample is `first_sample` of the session, as that of the recorded sound is.

    What was heard before is not written. Raises LmdmError where the file cannot be made or written.
    """

    def __init__(self, path: Path, *, channels: int, sample_rate: int, first_sample: int) -> None:
        self._wav = CrashSafeWav(path, channels=channels, sample_rate=sample_rate)
        self._channels, self._first_sample = channels, first_sample

    @property
    def bytes(self) -> int:
        """What it takes of the disk."""
        return HEADER_BYTES + self._wav.samples_written * SAMPLE_BYTES * self._channels

    def write(self, heard: Heard) -> None:
        """Append what was heard; between the start and the first piece, which was heard before, there is silence."""
        ahead = heard.first_sample - self._first_sample - self._wav.samples_written
        if ahead > 0:
            self._wav.write(np.zeros((ahead, self._channels), np.float32))
        self._wav.write(heard.samples[max(0, -ahead) :])

    def close(self) -> None:
        """Let the file go."""
        self._wav.close()
