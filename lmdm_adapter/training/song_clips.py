"""Procedural songs as latents on disk, and as clips whose prompts fit the crop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import compose, describe, mix, render
from lmdm_adapter.training.clips import LatentClip
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.files import replacing
from lmdm_adapter.training.shards import codec_digest
from lmdm_adapter.training.songs import FULL_SCALE


@dataclass(frozen=True)
class LatentSource:
    """Which codec made the latents of a folder, and how long the songs are."""

    codec_digest: str
    song_seconds: float
    frame_rate_hz: float


@dataclass(frozen=True, eq=False)
class SongClip:
    """A song, known by its seed: a crop's prompt varies as people's do and names only what sounds in the crop."""

    seed: int
    latents: Tensor
    source: LatentSource

    @property
    def name(self) -> str:
        """The seed."""
        return f"song {self.seed}"

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
        prompt = describe(song, draws, start_seconds=begin, seconds=seconds)
        return LatentClip(self.latents[:, first_frame : first_frame + frames].float(), prompt, seconds, self.name)


def encode_songs(
    codec: Codec, folder: Path, seeds: Iterable[int], *, seconds: float, songs: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[SongClip]:  # fmt: skip
    """The songs of `seeds` as clips; what `folder` does not hold yet is encoded to one fp16 file `c n` per song.

    Audio comes from the folder `songs` where it was rendered before, else it is rendered and not kept.
    Raises LmdmError when the folder holds latents of another codec or of songs of another length, or a corrupt file.
    """
    source = LatentSource(codec_digest(codec), seconds, codec.frame_rate_hz)
    _claim(folder, source)
    clips = []
    for done, seed in enumerate(seeds, start=1):
        path = folder / f"{seed:07d}.safetensors"
        if not path.exists():
            latents = _encoded(codec, seed, seconds=seconds, songs=songs)
            with replacing(path) as part:
                save_file({"latents": latents.half().contiguous()}, part)
        clips.append(SongClip(seed, _read(path), source))
        progress(done)
    return clips


def _claim(folder: Path, source: LatentSource) -> None:
    """Write what the folder holds, or refuse a folder that holds something else."""
    path = folder / "source.json"
    if not path.exists():
        write_json(path, source)
    elif json.loads(path.read_text()) != asdict(source):
        raise LmdmError(f"{folder} holds latents of another codec or song length; use a new folder.")


@torch.inference_mode()
def _encoded(codec: Codec, seed: int, *, seconds: float, songs: Path | None) -> Tensor:
    """Latents `c n` of one song: whole frames, the incomplete last one cut off."""
    kept = None if songs is None else songs / f"{seed:07d}.npy"
    if kept is not None and kept.exists():
        sound = np.load(kept).astype(np.float32) / FULL_SCALE
    else:
        sound = mix(render(compose(seed, seconds=seconds), codec.sample_rate)).samples[0]
    whole = len(sound) // codec.frame_samples * codec.frame_samples
    return codec.encode_in_pieces(torch.from_numpy(sound[:whole])[None, None].to(codec.device))[0].cpu()


def _read(path: Path) -> Tensor:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.get_tensor("latents")
    except (OSError, SafetensorError) as error:
        raise LmdmError(f"The latents {path} are corrupt ({error}); delete the file to encode it again.") from error
