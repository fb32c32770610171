"""The recipes of a whole training in miniature, each taking what the one before it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lmdm_adapter as lmdm
from lmdm_adapter.network.oobleck import OobleckConfig
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.recipes.base import BaseRecipe
from lmdm_adapter.recipes.codec import CodecRecipe
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.data import SongData
from lmdm_adapter.training.latent_judge import LatentJudgeConfig
from lmdm_adapter.training.loop import LoopConfig
from lmdm_adapter.training.model_config import DiTShape

RATE = 8000
SPEC = lmdm.BlockSpec(block_frames=4, context_blocks=3)


def loop(steps: int, rate: float = 2e-3) -> LoopConfig:
    return LoopConfig(
        steps=steps, learning_rate=rate, warmup_steps=2, average_decay=0.9, log_every_steps=1,
        validate_every_steps=steps, sample_every_steps=steps, cpu=True,
    )  # fmt: skip


def codec_recipe(folder: Path) -> CodecRecipe:
    shape = OobleckConfig(audio_channels=1, channels=4, c_mults=(2, 4), strides=(8, 8), latent_channels=4)
    return CodecRecipe(
        output=str(folder / "codec"), songs=str(folder / "songs"), sample_rate=RATE, train_songs=2, held_out_songs=1,
        song_seconds=2.0, batch_size=2, crop_frames=32, measured_seconds=1.0, network=shape, loop=loop(4),
    )  # fmt: skip


def base_recipe(folder: Path) -> BaseRecipe:
    data = SongData(str(folder / "latents"), str(folder / "songs"), 3, 1, 2.0)
    return BaseRecipe(
        output=str(folder / "base"), codec=str(folder / "codec"), data=data, window_frames=16, batch_size=4,
        network=DiTShape(embed_dim=64, depth=2, num_heads=2, cond_dim=16, word_buckets=64),
        example_sampling=lmdm.Sampling(steps=2, sampler="euler"), loop=loop(16),
    )  # fmt: skip


def finetune_recipe(folder: Path) -> FinetuneRecipe:
    return FinetuneRecipe(
        output=str(folder / "live"), base=str(folder / "base" / "model"), data=base_recipe(folder).data,
        spec=SPEC, blocks=6, batch_size=2, sampling=lmdm.Sampling(steps=2, sampler="euler"), example_seconds=0.5,
        loop=loop(4),
    )  # fmt: skip


def arc_recipe(folder: Path) -> ArcForcingRecipe:
    return ArcForcingRecipe(
        output=str(folder / "post"), student=str(folder / "live" / "model"), base=str(folder / "base" / "model"),
        data=base_recipe(folder).data, batch_size=2, example_seconds=0.5,
        arc=ArcConfig(sampling=lmdm.Sampling(steps=2), rollout_blocks=3, cold=0.5, judge_first_steps=1),
        judge=LatentJudgeConfig(channels=(8, 8), strides=(1, 2)), loop=loop(4),
    )  # fmt: skip


def played(live: lmdm.LiveModel, seconds: float) -> np.ndarray:
    """The first seconds of a stream, `(channels, samples)`."""
    pieces = live.stream("124 BPM, A minor, house", seconds, seed=3, sampling=lmdm.Sampling(steps=2))
    return np.concatenate([piece.samples for piece in pieces], axis=1)
