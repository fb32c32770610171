"""Procedural songs as latents on disk, and as clips whose prompts fit the crop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.accompaniment import LATENTS as ACCOMPANIMENT_LATENTS
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.music import Song, compose, describe, mix, render
from lmdm_adapter.training.clips import LatentClip
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.control_source import ControlSource
from lmdm_adapter.training.files import replacing
from lmdm_adapter.training.shards import codec_digest
from lmdm_adapter.training.song_stems import Target, only, targets_of
from lmdm_adapter.training.songs import FULL_SCALE

MUSIC = "latents"


@dataclass(frozen=True)
class LatentSource:
    """Which codec made the latents of a folder, how long the songs are, and what is the music in them.

    `stems` are the names of targets ("mix" is the whole song), or nothing for the whole mix; `features` are frame
    controls beside the latents, and `sketch` the settings of those that are sketches.
    """

    codec_digest: str
    song_seconds: float
    frame_rate_hz: float
    stems: tuple[str, ...] = ()
    features: tuple[tuple[str, int], ...] = ()
    sketch: str | None = None


@dataclass(frozen=True, eq=False)
class SongClip:
    """A song, or some stems of it, known by its seed: a crop's prompt varies and names only what sounds in the crop."""

    seed: int
    latents: Tensor
    source: LatentSource
    target: Target | None = None
    controls: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The seed, and the stems."""
        return f"song {self.seed}" if self.target is None else f"song {self.seed}, {self.target.name}"

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.latents.shape[-1]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.source.frame_rate_hz

    def crop(self, first_frame: int, frames: int, *, draws: np.random.Generator) -> LatentClip:
        """`frames` frames from `first_frame` on, in fp32."""
        begin, seconds = (number / self.source.frame_rate_hz for number in (first_frame, frames))
        song = compose(self.seed, seconds=self.source.song_seconds)
        song = song if self.target is None else only(song, self.target.stems)
        prompt = describe(song, draws, start_seconds=begin, seconds=seconds)
        return LatentClip(self.latents, prompt, self.seconds, self.name, self.controls).crop(
            first_frame, frames, draws=draws
        )


def encode_songs(
    codec: Codec, folder: Path, seeds: Iterable[int], *, seconds: float, songs: Path | None = None,
    stems: Sequence[str] = (), sources: Sequence[ControlSource] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> list[SongClip]:  # fmt: skip
    """The songs of `seeds` as clips; what `folder` does not hold yet is encoded to one fp16 file `c n` per song.

    With `stems` (see `Target`; "mix" is the whole song) each song gives a clip for every target that sounds in it,
    accompanied by its other stems; `sources` add features of the music. Audio of whole songs comes from the folder
    `songs` where it was rendered before, else it is rendered and not kept. Raises LmdmError when the folder holds
    latents of another codec, other stems or features, or of songs of another length, or a corrupt file.
    """
    targets = targets_of(stems)
    # Whole songs have no others, so nothing is told of them.
    sources = [one for one in sources if not one.of_others or targets != [None]]
    features = tuple(control for source in sources for control in source.controls)
    sketch = next((json.dumps(one.sketch.to_json()) for one in sources if one.sketch is not None), None)
    source = LatentSource(codec_digest(codec), seconds, codec.frame_rate_hz, tuple(stems), features, sketch)
    _claim(folder, source)
    clips = []
    for done, seed in enumerate(seeds, start=1):
        path = folder / f"{seed:07d}.safetensors"
        if not path.exists():
            found = _encoded(codec, compose(seed, seconds=seconds), targets, songs=songs, sources=sources)
            with replacing(path) as part:
                save_file({name: values.half().contiguous() for name, values in found.items()}, part)
        clips += _clips(seed, targets, _read(path), source)
        progress(done)
    return clips


def _claim(folder: Path, source: LatentSource) -> None:
    """Write what the folder holds, or refuse a folder that holds something else."""
    path = folder / "source.json"
    if not path.exists():
        write_json(path, source)
    elif from_json(LatentSource, json.loads(path.read_text())) != source:
        raise LmdmError(
            f"{folder} holds latents of another codec or song length, or of other stems or features; use a new folder."
        )


@torch.inference_mode()
def _encoded(
    codec: Codec, song: Song, targets: Sequence[Target | None], *, songs: Path | None, sources: Sequence[ControlSource]
) -> dict[str, Tensor]:
    """Latents `c n` and features of one song, by their keys in its file."""
    found: dict[str, Tensor] = {}
    rendered = {} if targets == [None] else render(song, codec.sample_rate)

    of_music, of_others = ([one for one in sources if one.of_others == others] for others in (False, True))

    @cache  # several targets may have their music or their accompaniment in common
    def played(stems: tuple[str, ...]) -> Mapping[str, Tensor]:
        return _features(codec, mix({name: rendered[name] for name in stems}), of_music, latents=MUSIC)

    @cache
    def heard(stems: tuple[str, ...]) -> Mapping[str, Tensor]:
        audio = mix({name: rendered[name] for name in stems})
        return _features(codec, audio, of_others, latents=ACCOMPANIMENT_LATENTS)

    for target in targets:
        if target is None:
            found |= _features(codec, _whole(song, codec.sample_rate, songs), of_music, latents=MUSIC)
        elif target.sounds_in(song):
            own = {**played(target.stems), **heard(target.others)}
            found |= {f"{target.name}/{name}": values for name, values in own.items()}
    return found


def _features(codec: Codec, audio: Audio, sources: Sequence[ControlSource], *, latents: str) -> dict[str, Tensor]:
    """Latents of a sound, by the name `latents`, and what the sources say of it."""
    found = {latents: _latents(codec, audio)}
    for source in sources:
        found |= source.of(audio, frames=found[latents].shape[-1])
    return found


def _whole(song: Song, sample_rate: int, songs: Path | None) -> Audio:
    """All stems of the song together, rendered now or before."""
    kept = None if songs is None else songs / f"{song.seed:07d}.npy"
    if kept is not None and kept.exists():
        return Audio(np.load(kept).astype(np.float32)[None] / FULL_SCALE, sample_rate)
    return mix(render(song, sample_rate))


def _latents(codec: Codec, audio: Audio) -> Tensor:
    """Latents `c n` of mono audio: whole frames, the incomplete last one cut off."""
    sound = audio.samples[0]
    whole = len(sound) // codec.frame_samples * codec.frame_samples
    return codec.encode_in_pieces(torch.from_numpy(sound[:whole])[None, None].to(codec.device))[0].cpu()


def _clips(
    seed: int, targets: Sequence[Target | None], held: Mapping[str, Tensor], source: LatentSource
) -> list[SongClip]:
    """The clips of one file: of all targets, but for those that do not sound in the song."""
    clips = []
    for target in targets:
        prefix = "" if target is None else f"{target.name}/"
        own = {name.removeprefix(prefix): values for name, values in held.items() if name.startswith(prefix)}
        own = {name: values for name, values in own.items() if "/" not in name}
        if own:
            clips.append(SongClip(seed, own.pop(MUSIC), source, target, own))
    return clips


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is no dict
    except (OSError, SafetensorError) as error:
        raise LmdmError(f"The latents {path} are corrupt ({error}); delete the file to encode it again.") from error
