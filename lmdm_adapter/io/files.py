"""Sound files written piece by piece, never half-written."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.atomic import replacing, require_writable, write_json
from lmdm_adapter.sound_file import sound_reason
from lmdm_adapter.spec import require_choice

__all__ = ["AudioWriter", "Encoding", "require_audio_target", "write_audio", "write_json"]

Encoding = Literal["float32", "pcm24"]

FORMATS = {".wav": "WAV", ".flac": "FLAC"}
SUBTYPES: dict[str, str] = {"float32": "FLOAT", "pcm24": "PCM_24"}
BYTES_PER_SAMPLE = {"float32": 4, "pcm24": 3}
# The size field of a WAV header has 32 bits; some room is left for the header itself.
WAV_LIMIT_BYTES = 2**32 - 2**16


def write_audio(path: str | os.PathLike[str], audio: Audio, *, encoding: Encoding = "float32") -> None:
    """Write `audio` to a WAV or FLAC file, whole or not at all; see `AudioWriter` for the errors."""
    with AudioWriter(path, audio.sample_rate, audio.channels, encoding=encoding) as writer:
        writer.write(audio)


def require_audio_target(path: str | os.PathLike[str]) -> Path:
    """The real path that an `AudioWriter` for `path` would fill.

    Raises LmdmError for an unknown suffix, a folder or device as target, or a place where no file can be made.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise LmdmError(f"Cannot write sound to {path}: unknown suffix {suffix!r}; use one of {', '.join(FORMATS)}.")
    return require_writable(path)


class AudioWriter:
    """A sound file that grows piece by piece under a temporary name and is moved into place when all is well.

    `encoding` is for WAV; FLAC is always 24-bit, where samples beyond [-1, 1] are clipped. Every check of the target
    is made on construction, before anybody has computed a sample; the file is opened by `with`. On an error or Ctrl-C
    inside the block the temporary file is removed and a file that was there before is left as it was.
    `expected_samples`, where known, lets it refuse a disk that is too small and pick RF64 beyond 4 GiB.

    Raises LmdmError for an unknown suffix or encoding, an unwritable place, or a disk without room.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        *,
        encoding: Encoding = "float32",
        expected_samples: int | None = None,
    ) -> None:
        require_choice("encoding", encoding, Encoding)
        self.path = require_audio_target(path)
        self.sample_rate, self.channels = sample_rate, channels
        self.samples_written = 0
        self._format = FORMATS[Path(path).suffix.lower()]
        self._encoding: Encoding = "pcm24" if self._format == "FLAC" else encoding
        self._plan(path, expected_samples)

    def __enter__(self) -> AudioWriter:
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            self._file = stack.enter_context(self._open(part))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        except soundfile.SoundFileError as failure:
            raise LmdmError(f"Cannot finish {self.path}: {sound_reason(failure)}; is the disk full?") from failure

    def write(self, audio: Audio) -> None:
        """Append `audio`. Raises LmdmError when its rate or channels differ, it holds NaN, or the disk is full."""
        if (audio.sample_rate, audio.channels) != (self.sample_rate, self.channels):
            raise LmdmError(
                f"{self.path.name} is {self.channels} channels at {self.sample_rate} Hz, but got a piece of "
                f"{audio.channels} channels at {audio.sample_rate} Hz; convert it first."
            )
        if not np.isfinite(audio.samples).all():
            seconds = self.samples_written / self.sample_rate
            raise LmdmError(f"The audio for {self.path} holds NaN or infinity after {seconds:.2f} s; nothing was kept.")
        try:
            self._file.write(audio.samples.T)
        except (soundfile.SoundFileError, AssertionError) as error:
            # soundfile asserts that every sample went out, which fails when the disk is full.
            raise LmdmError(f"Cannot write {self.path}: {sound_reason(error)}; is the disk full?") from error
        self.samples_written += audio.samples.shape[1]

    def _plan(self, path: object, expected_samples: int | None) -> None:
        if expected_samples is None or self._format == "FLAC":
            return
        needed_bytes = expected_samples * self.channels * BYTES_PER_SAMPLE[self._encoding]
        free_bytes = shutil.disk_usage(self.path.parent).free
        if needed_bytes > free_bytes:
            raise LmdmError(
                f"{path} needs {needed_bytes / 1e9:.1f} GB and the disk has {free_bytes / 1e9:.1f} GB free; "
                "ask for fewer seconds, or write a .flac file."
            )
        if needed_bytes > WAV_LIMIT_BYTES:
            self._format = "RF64"

    def _open(self, part: Path) -> soundfile.SoundFile:
        try:
            return soundfile.SoundFile(
                str(part), "w", self.sample_rate, self.channels, SUBTYPES[self._encoding], format=self._format
            )
        except soundfile.SoundFileError as error:
            raise LmdmError(
                f"Cannot write {self.path} with {self.channels} channels at {self.sample_rate} Hz: "
                f"{sound_reason(error)}."
            ) from error
