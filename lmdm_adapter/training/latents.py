"""Songs as latents on disk, and random crops of them with prompts that fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import HELD_OUT_SEEDS, TRAIN_SEEDS, compose, describe, mix, render
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.draws import numpy_draws
from lmdm_adapter.training.files import replacing
from lmdm_adapter.training.journal import counted
from lmdm_adapter.training.songs import FULL_SCALE


@dataclass(frozen=True)
class LatentSource:
    """Which codec made the latents of a folder, and how long the songs are."""

    codec_digest: str
    song_seconds: float
    frame_rate_hz: float


class PromptedLatents(NamedTuple):
    """A batch of crops: latents `b c n` in fp32, one prompt per row."""

    latents: Tensor
    prompts: list[str]


def encode_songs(
    codec: Codec, folder: Path, seeds: Iterable[int], *, seconds: float, songs: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Path]:  # fmt: skip
    """Encode the songs of `seeds` that `folder` does not hold yet; one fp16 safetensors file `c n` per song.

    Audio comes from the folder `songs` where it was rendered before, else it is rendered and not kept.
    Raises LmdmError when the folder holds latents of another codec or of songs of another length.
    """
    source = LatentSource(codec_digest(codec), seconds, codec.frame_rate_hz)
    _claim(folder, source)
    paths = []
    for done, seed in enumerate(seeds, start=1):
        path = folder / f"{seed:07d}.safetensors"
        if not path.exists():
            latents = _encoded(codec, seed, seconds=seconds, songs=songs)
            with replacing(path) as part:
                save_file({"latents": latents.half().contiguous()}, part)
        paths.append(path)
        progress(done)
    return paths


@dataclass(frozen=True)
class LatentsConfig:
    """Which songs are encoded, and where: `folder` holds latents.

    `songs` (or None) is where rendered songs are found instead of being rendered again.
    """

    folder: str
    songs: str | None = None
    train_songs: int = 1000
    held_out_songs: int = 16
    song_seconds: float = 40.0


def latent_crops(
    config: LatentsConfig, codec: Codec, *, batch_size: int, seed: int
) -> tuple[LatentCrops, LatentCrops]:
    """Crops of training and of held-out songs; what is not encoded yet is encoded first, with a progress bar."""
    folder, songs = Path(config.folder), None if config.songs is None else Path(config.songs)
    kept = {"seconds": config.song_seconds, "songs": songs}
    with counted("encoding songs", config.train_songs + config.held_out_songs) as progress:
        held_out = encode_songs(codec, folder, HELD_OUT_SEEDS[: config.held_out_songs], progress=progress, **kept)
        paths = encode_songs(
            codec, folder, TRAIN_SEEDS[: config.train_songs],
            progress=lambda done: progress(done + len(held_out)), **kept,
        )  # fmt: skip
    return LatentCrops(paths, batch_size=batch_size, seed=seed), LatentCrops(held_out, batch_size=batch_size, seed=seed)


def codec_digest(codec: Codec) -> str:
    """A short digest of what makes latents: the encoder's weights and the scale. A better decoder keeps the latents."""
    digest = hashlib.blake2b(str(codec.scale).encode(), digest_size=8)
    for name, value in sorted(codec.autoencoder.encoder.state_dict().items()):
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


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


class LatentCrops:
    """Random crops of encoded songs: `batch(step, frames)` depends on (seed, step, frames) alone.

    The prompts vary as people's do and name only what sounds in the crop.
    """

    def __init__(self, paths: Sequence[Path], *, batch_size: int, seed: int) -> None:
        if not paths:
            raise LmdmError("There are no latents to train on; encode at least one song.")
        self.songs = [(int(path.stem), _read(path)) for path in paths]
        source = json.loads((paths[0].parent / "source.json").read_text())
        self.song_seconds, self.frame_rate_hz = source["song_seconds"], source["frame_rate_hz"]
        self.batch_size, self.seed = batch_size, seed

    def batch(self, step: int, frames: int) -> PromptedLatents:
        """The crops of one step. Raises LmdmError when a song is shorter than the crop."""
        draws = numpy_draws(self.seed, step, "latent crops")
        crops = [self._crop(draws, frames) for _ in range(self.batch_size)]
        return PromptedLatents(torch.stack([latents for latents, _ in crops]), [prompt for _, prompt in crops])

    def _crop(self, draws: np.random.Generator, frames: int) -> tuple[Tensor, str]:
        song_seed, latents = self.songs[draws.integers(len(self.songs))]
        if latents.shape[1] < frames:
            raise LmdmError(f"Song {song_seed} has {latents.shape[1]} frames, fewer than a crop of {frames}.")
        start = int(draws.integers(latents.shape[1] - frames + 1))
        begin, seconds = start / self.frame_rate_hz, frames / self.frame_rate_hz
        song = compose(song_seed, seconds=self.song_seconds)
        prompt = describe(song, draws, start_seconds=begin, seconds=seconds)
        return latents[:, start : start + frames].float(), prompt


def _read(path: Path) -> Tensor:
    with safetensors.safe_open(path, framework="pt") as file:
        return file.get_tensor("latents")
