"""A folder of shards that grows: clips go in one by one, and where a run was stopped leaves no trace."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.shards import LatentFacts, Shard, ShardEntry, latents_digest, write_shard

log = logging.getLogger(__name__)
INDEX_NAME, SKIPPED_NAME, PENDING_NAME = "index.json", "skipped.json", "pending"
SHARD_PATTERN = "[0-9][0-9][0-9][0-9][0-9].safetensors"


@dataclass(frozen=True)
class IndexEntry:
    """A clip as `index.json` has it: its sound file and prompt, and where its latents are."""

    file: str
    prompt: str
    seconds: float
    frames: int
    shard: str
    number: int


class Place(NamedTuple):
    """Where a clip is: the name of its shard and its number there."""

    shard: str
    number: int
    entry: ShardEntry


class Shelf:
    """The shards of a folder, and the clips on their way into the next one, each a small shard of its own till then.

    Clips come in one order and shards are cut by size: a stopped run goes on to the bytes of one that was not.
    Clips are known by their file and its fingerprint, so that a file that changed is another clip.
    Raises LmdmError for latents of another codec, and a corrupt shard by name.
    """

    def __init__(self, folder: Path, facts: LatentFacts, *, shard_bytes: int) -> None:
        self.folder, self.facts, self.shard_bytes = folder, facts, shard_bytes
        self.places: dict[tuple[str, str], Place] = {}
        for path in sorted(folder.glob(SHARD_PATTERN)):
            self._place(path.name, self._opened(path).entries)
        self._pending: list[Path] = []
        self._pending_bytes = 0
        for path in sorted((folder / PENDING_NAME).glob("*.safetensors")):
            self._take_up(path)

    def add(self, file: str, fingerprint: str, latents: Tensor) -> ShardEntry:
        """Keep latents `c n` in fp16."""
        if self._pending and self._pending_bytes + latents.nbytes > self.shard_bytes:
            self.close()
        frames = latents.shape[-1]
        seconds = round(frames / self.facts.frame_rate_hz, 3)
        entry = ShardEntry(file, fingerprint, frames, seconds, latents_digest(latents))
        path = self.folder / PENDING_NAME / f"{len(self._pending):06d}.safetensors"
        write_shard(path, self.facts, {entry: latents})
        self._note(path, entry)
        return entry

    def close(self) -> None:
        """Make a shard of the clips on their way. It takes the lowest free number: that of a shard thrown away."""
        if self._pending:
            clips = [self._opened(path) for path in self._pending]
            numbered = (self.folder / f"{number:05d}.safetensors" for number in count())
            path = next(path for path in numbered if not path.exists())
            write_shard(path, self.facts, {clip.entries[0]: clip.latents(0) for clip in clips})
            self._place(path.name, tuple(clip.entries[0] for clip in clips))
        shutil.rmtree(self.folder / PENDING_NAME, ignore_errors=True)
        self._pending, self._pending_bytes = [], 0

    def _take_up(self, path: Path) -> None:
        """Go on with a clip of a stopped run, unless its shard was written before the run stopped."""
        entry = self._opened(path).entries[0]
        if (entry.file, entry.fingerprint) not in self.places:
            self._note(path, entry)

    def _note(self, path: Path, entry: ShardEntry) -> None:
        self._pending.append(path)
        self._pending_bytes += 2 * self.facts.latent_channels * entry.frames
        self._place(PENDING_NAME, (entry,))

    def _place(self, shard: str, entries: tuple[ShardEntry, ...]) -> None:
        for number, entry in enumerate(entries):
            self.places[entry.file, entry.fingerprint] = Place(shard, number, entry)

    def _opened(self, path: Path) -> Shard:
        shard = Shard(path)
        if shard.facts != self.facts:
            raise LmdmError(f"{self.folder} holds latents of another codec ({path.name}); give a new folder.")
        return shard


def require_latent_folder(folder: Path, recordings: Path) -> None:
    """Refuse a place for latents that is a file, holds other things, or lies within the recordings."""
    if folder.exists() and not folder.is_dir():
        raise LmdmError(f"{folder} is a file; give the name of a folder for the latents.")
    ours = {*folder.glob(SHARD_PATTERN), *(folder / name for name in (INDEX_NAME, SKIPPED_NAME, PENDING_NAME))}
    strange = [path.name for path in folder.glob("[!.]*") if path not in ours]
    if strange:
        raise LmdmError(f"{folder} holds {min(strange)!r}, which is none of our latents; give a new folder.")
    if folder.resolve().is_relative_to(recordings.resolve()):
        raise LmdmError(f"{folder} lies within the recordings {recordings}; put the latents beside them.")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process fills `folder`; the processes of one training find all done after the first."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Another run is encoding into %s; waiting for it.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
