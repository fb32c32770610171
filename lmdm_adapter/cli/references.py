"""A folder of recordings as the reference of an evaluation: read one by one, when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.training.encoding import reason
from lmdm_adapter.training.recordings import Skipped, find_recordings

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
        audio = _beginning(read_audio(self.files[index]))
        return fitted(audio, sample_rate=self.sample_rate, channels=audio.channels)


@dataclass(frozen=True)
class References:
    """Sound files of a folder that an evaluation can use; others are counted by suffix, the rest has its reasons."""

    folder: Path
    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...]
    others: Mapping[str, int]

    @property
    def name(self) -> str:
        """What a report calls them."""
        left_out = f" ({len(self.skipped)} files skipped)" if self.skipped else ""
        return f"{len(self.files)} recordings in {self.folder}{left_out}"


def recordings(folder: Path) -> References:
    """All sound files of 10 s or more in `folder` and below, by name, and what was skipped.

    Each is read once, so that one that is cut off does not end an evaluation that has begun. Raises LmdmError when
    there is no such folder, or fewer than two files in it can be used.
    """
    if not folder.exists():
        raise LmdmError(f"There is no folder {folder}; --reference needs a folder of sound files.")
    if not folder.is_dir():
        raise LmdmError(f"{folder} is a file; --reference needs a folder of sound files.")
    found = find_recordings(folder)
    reasons = {recording: _unusable(recording.path) for recording in found.recordings}
    files = tuple(recording.path for recording, why in reasons.items() if why is None)
    bad = [Skipped(recording.name, why) for recording, why in reasons.items() if why is not None]
    skipped = tuple(sorted([*found.skipped, *bad], key=lambda one: one.file))
    if len(files) < LEAST_FILES:
        first = f" The first that was skipped, {skipped[0].file}: {skipped[0].reason}" if skipped else ""
        raise LmdmError(
            f"{folder} holds {len(files)} sound files of {LEAST_SECONDS:g} s or more among {len(found.recordings)}; a "
            f"reference needs at least {LEAST_FILES}.{first}"
        )
    return References(folder, files, skipped, found.others)


def _beginning(audio: Audio) -> Audio:
    """What is heard of a recording: its first two minutes."""
    return Audio(audio.samples[:, : round(MOST_SECONDS * audio.sample_rate)], audio.sample_rate)


def _unusable(path: Path) -> str | None:
    """Why a sound file cannot be a reference, as a sentence; None for one that can."""
    try:
        audio = read_audio(path)
    except (LmdmError, OSError) as error:
        return reason(error, path)
    if audio.seconds < LEAST_SECONDS:
        return f"is too short: {audio.seconds:.1f} s are less than {LEAST_SECONDS:g} s."
    return None if _beginning(audio).samples.any() else "is silent from end to end of what would be heard."
