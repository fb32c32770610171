"""A trained network as a host's `model_config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmdm_adapter.codec import Codec
from lmdm_adapter.network.conditioners import ConditionerConfig
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.training.vocabulary import song_vocabulary

MAX_SECONDS = 512


@dataclass(frozen=True)
class DiTShape:
    """Size of the diffusion transformer; heads are `embed_dim / num_heads` wide. `cond_dim` is the prompt's width."""

    embed_dim: int = 256
    depth: int = 6
    num_heads: int = 4
    cond_dim: int = 128
    word_buckets: int = 1024
    max_words: int = 16


def model_config(codec: Codec, shape: DiTShape, *, window_frames: int) -> dict[str, Any]:
    """The config of a small text-prompted model around `codec`, in the format of stable-audio-tools.

    The real host builds it and loads `model.safetensors` strictly; our text conditioner is declared in "lmdm".
    """
    words = {"vocabulary": list(song_vocabulary()), "buckets": shape.word_buckets, "max_words": shape.max_words}
    section = LmdmSection(conditioners=(ConditionerConfig("prompt", "hashed_words", words),))
    seconds = {"id": "seconds_total", "type": "number", "config": {"min_val": 0, "max_val": MAX_SECONDS}}
    return {
        "model_type": "diffusion_cond",
        "sample_size": window_frames * codec.frame_samples,
        "sample_rate": codec.sample_rate,
        "audio_channels": codec.channels,
        "model": {
            "pretransform": {"type": "autoencoder", "scale": codec.scale, "config": _autoencoder(codec)},
            "conditioning": {"configs": [seconds], "cond_dim": shape.cond_dim},
            "diffusion": _diffusion(codec.latent_channels, shape),
            "io_channels": codec.latent_channels,
        },
        "lmdm": section.to_json(),
    }


def _autoencoder(codec: Codec) -> dict[str, Any]:
    config = codec.autoencoder.config
    shape = {
        "channels": config.channels, "c_mults": list(config.c_mults), "strides": list(config.strides),
        "use_snake": config.use_snake,
    }  # fmt: skip
    encoder = {**shape, "in_channels": config.audio_channels, "latent_dim": 2 * config.latent_channels}
    decoder = {
        **shape, "out_channels": config.audio_channels, "latent_dim": config.latent_channels,
        "final_tanh": config.final_tanh,
    }  # fmt: skip
    return {
        "encoder": {"type": "oobleck", "config": encoder},
        "decoder": {"type": "oobleck", "config": decoder, "soft_clip": config.soft_clip},
        "bottleneck": {"type": "vae"},
        "latent_dim": config.latent_channels,
        "downsampling_ratio": config.ratio,
        "io_channels": config.audio_channels,
    }


def _diffusion(latent_channels: int, shape: DiTShape) -> dict[str, Any]:
    return {
        "type": "dit",
        "diffusion_objective": "rectified_flow",
        "cross_attention_cond_ids": ["prompt"],
        "global_cond_ids": ["seconds_total"],
        "config": {
            "io_channels": latent_channels, "embed_dim": shape.embed_dim, "depth": shape.depth,
            "num_heads": shape.num_heads, "cond_token_dim": shape.cond_dim, "global_cond_dim": shape.cond_dim,
            "transformer_type": "continuous_transformer", "attn_kwargs": {"qk_norm": "ln"},
        },
    }  # fmt: skip
