"""What a recipe trains on: procedural songs, latents, sound files, or a dataset config of stable-audio-tools."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Literal

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import HELD_OUT_SEEDS, TRAIN_SEEDS
from lmdm_adapter.training.clips import Clip, LatentCrops, held_out_split, long_enough
from lmdm_adapter.training.configs import require_at_least_one, require_seconds
from lmdm_adapter.training.control_source import ControlSource
from lmdm_adapter.training.encoding import encode_folder
from lmdm_adapter.training.host_dataset import HostDataset, read_arrays, read_host_dataset
from lmdm_adapter.training.journal import counted
from lmdm_adapter.training.latent_folder import read_latents
from lmdm_adapter.training.recordings import Skipped
from lmdm_adapter.training.song_clips import encode_songs
from lmdm_adapter.training.song_stems import targets_of

log = logging.getLogger(__name__)
Sides = tuple[Sequence[Clip], Sequence[Clip]]
"""Clips to train on, and held-out clips to measure with."""


@dataclass(frozen=True)
class SongData:
    """Procedural songs, encoded on first use: `folder` holds latents.

    `songs` (or None) is where rendered songs are found instead of being rendered again. With `stems`, such as "bass" or
    "drums+bass", each of them is the music of a clip that the other stems of the song accompany; "mix" among them is
    the whole song, alone.
    """

    folder: str
    songs: str | None = None
    train_songs: int = 1000
    held_out_songs: int = 16
    song_seconds: float = 40.0
    stems: tuple[str, ...] = ()
    kind: Literal["songs"] = field(default="songs", kw_only=True)

    def __post_init__(self) -> None:
        require_at_least_one(self, "train_songs", "held_out_songs")
        require_seconds(self, "song_seconds")
        targets_of(self.stems)


@dataclass(frozen=True)
class LatentData:
    """A folder that `lmdm encode` made."""

    folder: str
    held_out_share: float = 0.05
    kind: Literal["latents"] = field(default="latents", kw_only=True)

    def __post_init__(self) -> None:
        _require_share(self.held_out_share)


@dataclass(frozen=True)
class RecordingData:
    """A folder of sound files; what `latents` does not hold yet is encoded into it first, as `lmdm encode` does."""

    folder: str
    latents: str
    held_out_share: float = 0.05
    kind: Literal["audio"] = field(default="audio", kw_only=True)

    def __post_init__(self) -> None:
        _require_share(self.held_out_share)


@dataclass(frozen=True)
class HostData:
    """A dataset config of stable-audio-tools.

    Sound files are encoded into `latents`, each dataset into a folder of its id; pre-encoded ones need none.
    """

    config: str
    latents: str | None = None
    held_out_share: float = 0.05
    kind: Literal["stable-audio-tools"] = field(default="stable-audio-tools", kw_only=True)

    def __post_init__(self) -> None:
        _require_share(self.held_out_share)


Data = SongData | LatentData | RecordingData | HostData


def crops_of(
    data: Data, codec: Codec, *, batch_size: int, seed: int, longest_frames: int,
    sources: Sequence[ControlSource] = (),
) -> tuple[LatentCrops, LatentCrops]:  # fmt: skip
    """Crops to train on and held-out crops; what is not encoded yet is encoded first, with a progress bar.

    `sources` add features of the music to songs. Clips that crops of `longest_frames` do not fit into are left out, and
    named. Raises LmdmError for data that is not there, does not fit the codec, or is too little.
    """
    train, held_out = sides_of(data, codec, longest_frames=longest_frames, sources=sources)
    log.info("Training on %s, held out %s.", _told(train), _told(held_out))
    return LatentCrops(train, batch_size=batch_size, seed=seed), LatentCrops(held_out, batch_size=batch_size, seed=seed)


@singledispatch
def sides_of(data: Data, codec: Codec, *, longest_frames: int, sources: Sequence[ControlSource] = ()) -> Sides:
    """The clips of `data` that are long enough, to train on and held out."""
    raise TypeError(f"{type(data).__name__} is no data")


@sides_of.register
def _songs(data: SongData, codec: Codec, *, longest_frames: int, sources: Sequence[ControlSource] = ()) -> Sides:
    folder, songs = Path(data.folder), None if data.songs is None else Path(data.songs)
    kept = {"seconds": data.song_seconds, "songs": songs, "stems": data.stems, "sources": sources}
    with counted("encoding songs", data.train_songs + data.held_out_songs) as progress:
        held_out = encode_songs(codec, folder, HELD_OUT_SEEDS[: data.held_out_songs], progress=progress, **kept)
        train = encode_songs(
            codec, folder, TRAIN_SEEDS[: data.train_songs],
            progress=lambda done: progress(done + data.held_out_songs), **kept,
        )  # fmt: skip
    if not train or not held_out:
        raise LmdmError(
            f"The stems {', '.join(data.stems)} sound in none of the songs to train on, or in none that is held out; "
            "choose others, longer songs, or more of them."
        )
    return long_enough(train, longest_frames), long_enough(held_out, longest_frames)


@sides_of.register
def _latents(data: LatentData, codec: Codec, *, longest_frames: int, sources: Sequence[ControlSource] = ()) -> Sides:
    return held_out_split(long_enough(read_latents(Path(data.folder), codec), longest_frames), data.held_out_share)


@sides_of.register
def _recordings(
    data: RecordingData, codec: Codec, *, longest_frames: int, sources: Sequence[ControlSource] = ()
) -> Sides:
    clips = _encoded(Path(data.folder), Path(data.latents), codec)
    return held_out_split(long_enough(clips, longest_frames), data.held_out_share)


@sides_of.register
def _host(data: HostData, codec: Codec, *, longest_frames: int, sources: Sequence[ControlSource] = ()) -> Sides:
    dataset = read_host_dataset(Path(data.config))
    clips: Sequence[Clip]
    if dataset.dataset_type == "pre_encoded":
        clips, skipped = read_arrays(dataset, codec)
        _warn(skipped)
        if not clips:
            reason = skipped[0].reason if skipped else "there are no arrays"
            raise LmdmError(f"No latents of {data.config} could be used; the first: {reason}")
    else:
        clips = _host_recordings(dataset, data, codec)
    return held_out_split(long_enough(clips, longest_frames), data.held_out_share)


def _host_recordings(dataset: HostDataset, data: HostData, codec: Codec) -> list[Clip]:
    if data.latents is None:
        raise LmdmError(f'{data.config} names sound files; say in "latents" which folder their latents go to.')
    return [
        clip
        for folder in dataset.datasets
        for clip in _encoded(Path(folder.path), Path(data.latents) / folder.id, codec)
    ]


def _encoded(recordings: Path, latents: Path, codec: Codec) -> Sequence[Clip]:
    with counted(f"encoding {recordings}", 1) as progress:
        result = encode_folder(codec, recordings, latents, progress=progress)
    _warn(result.skipped)
    return read_latents(latents, codec)


def _warn(skipped: Sequence[Skipped]) -> None:
    for one in skipped:
        log.warning("Skipped %s: %s", one.file, one.reason)


def _told(clips: Sequence[Clip]) -> str:
    return f"{len(clips)} clips ({sum(clip.seconds for clip in clips) / 3600:.2f} h)"


def _require_share(share: float) -> None:
    if not 0.0 < share <= 0.5:
        raise LmdmError(f"The held_out_share lies above 0 and is at most 0.5, got {share}.")
