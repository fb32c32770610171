"""A folder of recordings as the reference of an evaluation: read one by one, when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted
from lmdm_adapter.sound_file import read_audio

LEAST_SECONDS, MOST_SECONDS = 10.0, 120.0
LEAST_FILES = 2


@dataclass(frozen=True)
class Recordings(Sequence[Audio]):
    """Sound files at `sample_rate`, the first two minutes of each, resampled where they have another rate."""

    files: tuple[Path, ...]
    sample_rate: int

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Audio: ...
    @overload
    def __getitem__(self, index: slice) -> Recordings: ...
    def __getitem__(self, index: int | slice) -> Audio | Recordings:
        """Read one file; raises LmdmError when it cannot be read."""
        if isinstance(index, slice):
            return Recordings(self.files[index], self.sample_rate)
        audio = read_audio(self.files[index])
        samples = audio.samples[:, : round(MOST_SECONDS * audio.sample_rate)]
        return fitted(Audio(samples, audio.sample_rate), sample_rate=self.sample_rate, channels=audio.channels)


def recordings(folder: Path) -> tuple[Path, ...]:
    """All sound files of 10 s or more in `folder` and below, by name.

    Raises LmdmError when there is no such folder, or fewer than two such files in it.
    """
    if not folder.exists():
        raise LmdmError(f"There is no folder {folder}; --reference needs a folder of sound files.")
    if not folder.is_dir():
        raise LmdmError(f"{folder} is a file; --reference needs a folder of sound files.")
    formats = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
    names = sorted(path for path in folder.rglob("*") if path.suffix.lower() in formats)
    files = tuple(path for path in names if _seconds(path) >= LEAST_SECONDS)
    if len(files) < LEAST_FILES:
        raise LmdmError(
            f"{folder} holds {len(files)} sound files of {LEAST_SECONDS:g} s or more among {len(names)}; a reference "
            f"needs at least {LEAST_FILES}."
        )
    return files


def _seconds(path: Path) -> float:
    try:
        return float(soundfile.info(str(path)).duration)
    except soundfile.SoundFileError as error:
        raise LmdmError(f"{path} cannot be read as sound; take it out of the reference.") from error
