"""Sound files of a folder, and their prompts: from a text beside each, else from its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lmdm_adapter.errors import LmdmError

SUFFIXES = frozenset(
    ".wav .wave .rf64 .w64 .flac .ogg .oga .opus .mp3 .mp2 .aif .aiff .aifc .au .snd .caf"
    " .m4a .m4b .mp4 .mov .aac .ac3 .wma .webm .mka .mkv .ape .wv .tta .mpc .amr".split()
)
TEXT_SUFFIXES = (".json", ".txt")
FINGERPRINT_BYTES = 2**16
_TRACK_NUMBER = re.compile(r"^0\d+\s+(?=\S)")


@dataclass(frozen=True)
class Recording:
    """A sound file: where it is, and its path below the folder that was searched, with forward slashes."""

    path: Path
    name: str

    def fingerprint(self) -> str:
        """A digest of the length, the beginning and the end: enough to notice that the file is another one."""
        size = self.path.stat().st_size
        digest = hashlib.blake2b(str(size).encode(), digest_size=8)
        with self.path.open("rb") as file:
            digest.update(file.read(FINGERPRINT_BYTES))
            file.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(file.read(FINGERPRINT_BYTES))
        return digest.hexdigest()


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why: a whole sentence that names it."""

    file: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a folder holds: recordings sorted by name, what could not be looked into, and other files by suffix."""

    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...]
    others: Mapping[str, int]


def find_recordings(folder: Path) -> Found:
    """Everything in `folder` and below that is sound by its suffix; hidden files and folders are left alone.

    Raises LmdmError when there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise LmdmError(f"The folder of sound files {folder} {what}; give a folder.")
    recordings, skipped, others = [], [], Counter[str]()

    def failed(error: OSError) -> None:
        skipped.append(Skipped(_below(folder, Path(error.filename)), f"{error.filename}: {error.strerror}."))

    for place, folders, files in os.walk(folder, onerror=failed):
        for name in [name for name in folders if (Path(place) / name).is_symlink() and not name.startswith(".")]:
            path = Path(place) / name
            skipped.append(Skipped(_below(folder, path), f"{path} is a link to a folder; give that folder itself."))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place) / name
            suffix = path.suffix.lower()
            if suffix in SUFFIXES and not name.startswith("."):
                recordings.append(Recording(path, _below(folder, path)))
            elif suffix not in TEXT_SUFFIXES and not name.startswith("."):
                others[suffix or "without a suffix"] += 1
    return Found(
        tuple(sorted(recordings, key=lambda one: one.name)), tuple(sorted(skipped, key=lambda one: one.file)),
        dict(sorted(others.items())),
    )  # fmt: skip


def prompt_of(recording: Path) -> str:
    """What a recording is called: `prompt` of NAME.json beside it, else the text of NAME.txt, else its name tidied.

    Raises LmdmError for a text beside it that says nothing or cannot be read.
    """
    described, written = recording.with_suffix(".json"), recording.with_suffix(".txt")
    if described.is_file():
        return _stated(described)
    if written.is_file():
        return _spoken(_text(written), written)
    return tidied(recording.stem)


def tidied(stem: str) -> str:
    """A file's name as words: "03_deep-house_124bpm" is "deep house 124bpm"; a name of no words stays as it is."""
    stem = stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    words = re.sub(r"[\s_\-.]+", " ", stem).strip()
    return _TRACK_NUMBER.sub("", words) or stem


def _stated(path: Path) -> str:
    try:
        facts = json.loads(_text(path))
    except ValueError as error:
        raise LmdmError(f"{path} is no JSON: {error}.") from error
    prompt = facts.get("prompt") if isinstance(facts, dict) else None
    if not isinstance(prompt, str):
        raise LmdmError(f'{path} must be an object with a text "prompt".')
    return _spoken(prompt, path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LmdmError(f"{path} cannot be read as UTF-8 text: {error}.") from error


def _spoken(text: str, path: Path) -> str:
    prompt = " ".join(text.split())
    if not prompt:
        raise LmdmError(f"{path} holds no prompt; write one, or remove the file.")
    return prompt


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
