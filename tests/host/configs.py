"""Model configs in the host's format: the two published shapes, scaled down so that a forward takes milliseconds."""

from __future__ import annotations

import copy
from typing import Any

Config = dict[str, Any]


def oobleck(*, latent_channels: int = 4, channels: int = 4) -> Config:
    """A `pretransform` section: stereo Oobleck VAE, 16 samples per latent frame."""
    shape = {"channels": channels, "c_mults": [1, 2, 2], "strides": [2, 2, 4], "use_snake": True}
    return {
        "type": "autoencoder",
        "iterate_batch": True,
        "config": {
            "encoder": {"type": "oobleck", "config": {"in_channels": 2, "latent_dim": 2 * latent_channels, **shape}},
            "decoder": {
                "type": "oobleck",
                "config": {"out_channels": 2, "latent_dim": latent_channels, "final_tanh": False, **shape},
            },
            "bottleneck": {"type": "vae"},
            "latent_dim": latent_channels,
            "downsampling_ratio": 16,
            "io_channels": 2,
        },
    }


def number(name: str, *, longest_seconds: float = 256) -> Config:
    """One number conditioner."""
    return {"id": name, "type": "number", "config": {"min_val": 0, "max_val": longest_seconds}}


def t5(*, max_length: int = 8) -> Config:
    """The prompt conditioner; its weights come from `tiny_t5`."""
    return {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-base", "max_length": max_length}}


def _config(diffusion: Config, conditioners: list[Config], cond_dim: int) -> Config:
    return {
        "model_type": "diffusion_cond",
        "sample_size": 256,
        "sample_rate": 44100,
        "audio_channels": 2,
        "model": {
            "pretransform": oobleck(),
            "conditioning": {"configs": conditioners, "cond_dim": cond_dim},
            "diffusion": {"type": "dit", **diffusion},
            "io_channels": 4,
        },
    }


def open_small() -> Config:
    """Stable Audio Open Small in little: QK-LayerNorm, prefix token, `rectified_flow`, half of each head rotated."""
    dit = {
        "io_channels": 4, "embed_dim": 128, "depth": 2, "num_heads": 2, "cond_token_dim": 32, "global_cond_dim": 32,
        "transformer_type": "continuous_transformer", "attn_kwargs": {"qk_norm": "ln"},
    }  # fmt: skip
    diffusion = {
        "cross_attention_cond_ids": ["prompt", "seconds_total"],
        "global_cond_ids": ["seconds_total"],
        "diffusion_objective": "rectified_flow",
        "config": dit,
    }
    return _config(diffusion, [t5(), number("seconds_total")], cond_dim=32)


def open_1_0() -> Config:
    """Stable Audio Open 1.0 in little: v objective, cross-attention of 4 heads over 2, two number conditioners."""
    dit = {
        "io_channels": 4, "embed_dim": 256, "depth": 2, "num_heads": 4, "cond_token_dim": 128, "global_cond_dim": 256,
        "project_cond_tokens": False, "transformer_type": "continuous_transformer",
    }  # fmt: skip
    diffusion = {
        "cross_attention_cond_ids": ["prompt", "seconds_start", "seconds_total"],
        "global_cond_ids": ["seconds_start", "seconds_total"],
        "config": dit,
    }
    conditioners = [t5(), number("seconds_start", longest_seconds=512), number("seconds_total", longest_seconds=512)]
    return _config(diffusion, conditioners, cond_dim=128)


def inpainting(config: Config) -> Config:
    """The same model with a mask and masked latents concatenated to its noisy latents."""
    changed = copy.deepcopy(config)
    changed["model_type"] = "diffusion_cond_inpaint"
    diffusion = changed["model"]["diffusion"]
    diffusion["input_concat_ids"] = ["inpaint_mask", "inpaint_masked_input"]
    diffusion["config"]["input_concat_dim"] = 1 + changed["model"]["io_channels"]
    return changed


def without_text(config: Config) -> Config:
    """The same model with number conditioners only, for tests that do not need transformers."""
    changed = copy.deepcopy(config)
    conditioning, diffusion = changed["model"]["conditioning"], changed["model"]["diffusion"]
    conditioning["configs"] = [one for one in conditioning["configs"] if one["type"] != "t5"]
    diffusion["cross_attention_cond_ids"].remove("prompt")
    return changed
