"""Clips of a folder that `lmdm encode` made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.training.clips import LatentClip
from lmdm_adapter.training.shards import LatentFacts, Shard
from lmdm_adapter.training.shelf import INDEX_NAME, IndexEntry


@dataclass(frozen=True, eq=False)
class ShardClip:
    """A clip whose latents stay in their shard until a crop is taken."""

    entry: IndexEntry
    shard: Shard

    @property
    def name(self) -> str:
        """The sound file that it is from."""
        return self.entry.file

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.entry.frames

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.entry.seconds

    @property
    def controls(self) -> Mapping[str, Tensor]:
        """Nothing: only the music was encoded."""
        return {}

    def crop(self, first_frame: int, frames: int, *, draws: np.random.Generator) -> LatentClip:
        """`frames` frames from `first_frame` on, in fp32. Raises LmdmError when the shard is corrupt, by name."""
        entry = self.entry
        whole = LatentClip(self.shard.latents(entry.number), entry.prompt, entry.seconds, entry.file)
        return whole.crop(first_frame, frames, draws=draws)


def read_latents(folder: Path, codec: Codec) -> list[ShardClip]:
    """The clips of a folder, all shards opened.

    Raises LmdmError for a folder without an index, latents of another codec than `codec`, and a shard that is missing,
    cut off or does not hold what the index says, by name.
    """
    facts, entries = _index(folder / INDEX_NAME)
    if facts != LatentFacts.of(codec):
        raise LmdmError(f"{folder} holds latents of another codec than the model's; encode for this model.")
    shards = {name: Shard(folder / name) for name in sorted({entry.shard for entry in entries})}
    for entry in entries:
        held = shards[entry.shard].entries[entry.number : entry.number + 1]
        if [(one.file, one.frames) for one in held] != [(entry.file, entry.frames)]:
            raise LmdmError(f"The shard {folder / entry.shard} lacks {entry.file}; run lmdm encode again.")
    return [ShardClip(entry, shards[entry.shard]) for entry in entries]


def _index(path: Path) -> tuple[LatentFacts, list[IndexEntry]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        facts = from_json(LatentFacts, values["facts"])
        return facts, [from_json(IndexEntry, entry) for entry in values["clips"]]
    except OSError as error:
        raise LmdmError(
            f"{path.parent} holds no finished latents ({path.name}: {error.strerror}); make them with lmdm encode."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise LmdmError(f"{path} is no index of latents; run lmdm encode again.") from error
