"""Tiny models for tests: every weight drawn, so that attention, prompt and noise level all matter."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from lmdm_adapter.conversion import with_controls
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.conditioners import ConditionerConfig
from lmdm_adapter.network.model import Network
from lmdm_adapter.section import LmdmSection, context_controls
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.randomise import randomise

SAMPLE_RATE = 1000
LATENT_CHANNELS = 4
VOCABULARY = ("house", "techno", "a minor", "c major", "drums", "bass", "bpm")

OOBLECK: dict[str, Any] = {"channels": 4, "c_mults": [1, 2], "strides": [2, 4], "use_snake": True}

HOST_CONFIG: dict[str, Any] = {
    "model_type": "diffusion_cond", "sample_size": 320, "sample_rate": SAMPLE_RATE, "audio_channels": 1,
    "model": {
        "io_channels": LATENT_CHANNELS,
        "pretransform": {
            "type": "autoencoder", "scale": 0.7,
            "config": {
                "encoder": {"type": "oobleck", "config": {**OOBLECK, "in_channels": 1,
                                                          "latent_dim": 2 * LATENT_CHANNELS}},
                "decoder": {"type": "oobleck", "config": {**OOBLECK, "out_channels": 1, "latent_dim": LATENT_CHANNELS,
                                                          "final_tanh": False}},
                "bottleneck": {"type": "vae"},
                "latent_dim": LATENT_CHANNELS, "downsampling_ratio": 8, "io_channels": 1,
            },
        },
        "conditioning": {
            "cond_dim": 16,
            "configs": [{"id": "seconds_total", "type": "number", "config": {"min_val": 0, "max_val": 64}}],
        },
        "diffusion": {
            "type": "dit", "diffusion_objective": "rectified_flow",
            "cross_attention_cond_ids": ["prompt", "seconds_total"], "global_cond_ids": ["seconds_total"],
            "config": {
                "io_channels": LATENT_CHANNELS, "embed_dim": 64, "depth": 2, "num_heads": 2, "cond_token_dim": 16,
                "global_cond_dim": 16, "transformer_type": "continuous_transformer", "attn_kwargs": {"qk_norm": "ln"},
            },
        },
    },
}  # fmt: skip

WORDS = ConditionerConfig("prompt", "hashed_words", {"vocabulary": list(VOCABULARY), "buckets": 64, "max_words": 6})
SPEC = BlockSpec(block_frames=6, context_blocks=3)


def host_config(**diffusion: Any) -> dict[str, Any]:
    """A fresh copy of the tiny host config, with entries of `model.diffusion` replaced."""
    config = deepcopy(HOST_CONFIG)
    config["model"]["diffusion"].update(diffusion)
    return config


def tiny_section(spec: BlockSpec | None = SPEC, *, sampling: Sampling | None = None) -> LmdmSection:
    """The "lmdm" section of a tiny model: offline text conditioner, and frame controls if it is converted."""
    controls = () if spec is None else context_controls(LATENT_CHANNELS)
    return LmdmSection(spec, sampling or Sampling(steps=3), frame_controls=controls, conditioners=(WORDS,))


def tiny_live(
    seed: int = 0, *, spec: BlockSpec = SPEC, sampling: Sampling | None = None, **diffusion: Any
) -> LiveModel:
    """A live model with random weights that plays in milliseconds; the same seed gives the same weights."""
    config, section = host_config(**diffusion), tiny_section(spec, sampling=sampling)
    network = Network(section.extend(network_config(config)))
    randomise(network, seed)
    return LiveModel(network.requires_grad_(False).eval(), section, config)


def tiny_offline(seed: int = 0, **diffusion: Any) -> tuple[Network, dict[str, Any]]:
    """An offline network with random weights, and its `model_config.json` (with its text conditioner declared)."""
    config, section = host_config(**diffusion), tiny_section(None)
    network = Network(section.extend(network_config(config)))
    randomise(network, seed)
    return network.requires_grad_(False).eval(), {**config, "lmdm": section.to_json()}


def controlled_live(controls: tuple[tuple[str, int], ...], *, seed: int = 0, **settings: Any) -> LiveModel:
    """A live model with further frame controls whose columns are drawn too, as if they were trained."""
    live = with_controls(tiny_live(seed, **settings), controls)
    weight = live.network.dit.to_input_add_embed.weight
    added = sum(channels for _, channels in controls)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        weight[:, -added:] = torch.randn(weight.shape[0], added, generator=generator) / added**0.5
    return live
