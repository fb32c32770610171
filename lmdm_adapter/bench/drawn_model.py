"""What a training needs before it can be timed, with no download: a checkpoint of a shape whose weights are drawn, the
live model that comes of it, and latents of noise under three prompts. They take as long as real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmdm_adapter.bench.shapes import Shape
from lmdm_adapter.checkpoint import read_checkpoint, write_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.conversion import convert_checkpoint
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.dit import DiTConfig
from lmdm_adapter.network.oobleck import AudioAutoencoder
from lmdm_adapter.recipes.base import new_network
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.model_config import DiTShape, model_config

SEED = 0
PROMPTS = ("124 BPM, A minor, house", "90 BPM, C major, dub", "174 BPM, E minor, jungle")


def drawn_config(shape: Shape, codec: Codec, *, window_frames: int) -> dict[str, Any]:
    """The `model_config.json` of a checkpoint of this shape; words are hashed, where the published one asks a T5.

    Raises LmdmError for a shape that the training recipes do not make.
    """
    dit = shape.dit
    drawn = DiTShape(
        embed_dim=dit.embed_dim, depth=dit.depth, num_heads=dit.num_heads, cond_dim=dit.cond_token_dim,
        max_words=shape.prompt_tokens,
    )  # fmt: skip
    config = model_config(codec, drawn, window_frames=window_frames)
    if dit_of(config) != dit:
        raise LmdmError("Only rectified-flow shapes with one width of conditioning are trained: sao-small or tiny.")
    return config


def dit_of(config: dict[str, Any]) -> DiTConfig:
    """The DiT that a `model_config.json` asks for."""
    return LmdmSection.read(config).extend(network_config(config)).dit


def write_drawn_model(folder: Path, shape: Shape, *, window_frames: int) -> None:
    """Write an offline checkpoint of the shape in the format of stable-audio-tools."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        codec = Codec(AudioAutoencoder(shape.codec), shape.sample_rate, 1.0)
    config = drawn_config(shape, codec, window_frames=window_frames)
    write_checkpoint(folder, new_network(config, codec, seed=SEED), config)


def write_student(folder: Path, base: Path, spec: BlockSpec) -> None:
    """Write the live model that the offline checkpoint `base` becomes."""
    convert_checkpoint(read_checkpoint(base), spec).save(folder)


def write_drawn_latents(folder: Path, *, channels: int, frames: int) -> Path:
    """Write a clip of noise for every prompt, and the dataset config (stable-audio-tools, pre-encoded) that names them.

    Returns the path of the config.
    """
    arrays = folder / "clips"
    arrays.mkdir(parents=True)
    draws = np.random.default_rng(SEED)
    for number, prompt in enumerate(PROMPTS):
        np.save(arrays / f"{number}.npy", draws.standard_normal((channels, frames), dtype=np.float32))
        write_json(arrays / f"{number}.json", {"prompt": prompt, "padding_mask": [1] * frames})
    dataset = {"dataset_type": "pre_encoded", "datasets": [{"id": "clips", "path": str(arrays)}]}
    write_json(folder / "dataset.json", dataset)
    return folder / "dataset.json"
