"""Once at full size: checkpoints of both published shapes, written by the host, convert and stream in every regime."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import lmdm_adapter as lmdm
from tests.randomise import randomise

SECONDS = 10.0
OOBLECK = {"channels": 128, "c_mults": [1, 2, 4, 8, 16], "strides": [2, 4, 4, 8, 8], "use_snake": True}
OPEN_SMALL: dict[str, Any] = {
    "model_type": "diffusion_cond", "sample_size": 524288, "sample_rate": 44100, "audio_channels": 2,
    "model": {
        "io_channels": 64,
        "pretransform": {
            "type": "autoencoder", "iterate_batch": True,
            "config": {
                "encoder": {"type": "oobleck", "config": {"in_channels": 2, "latent_dim": 128, **OOBLECK}},
                "decoder": {"type": "oobleck",
                            "config": {"out_channels": 2, "latent_dim": 64, "final_tanh": False, **OOBLECK}},
                "bottleneck": {"type": "vae"}, "latent_dim": 64, "downsampling_ratio": 2048, "io_channels": 2,
            },
        },
        "conditioning": {
            "cond_dim": 768,
            "configs": [
                {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-base", "max_length": 64}},
                {"id": "seconds_total", "type": "number", "config": {"min_val": 0, "max_val": 256}},
            ],
        },
        "diffusion": {
            "type": "dit", "diffusion_objective": "rectified_flow",
            "cross_attention_cond_ids": ["prompt", "seconds_total"], "global_cond_ids": ["seconds_total"],
            "config": {
                "io_channels": 64, "embed_dim": 1024, "depth": 16, "num_heads": 8, "cond_token_dim": 768,
                "global_cond_dim": 768, "transformer_type": "continuous_transformer", "attn_kwargs": {"qk_norm": "ln"},
            },
        },
    },
}  # fmt: skip


def open_1_0() -> dict[str, Any]:
    """Stable Audio Open 1.0's shape: wider, deeper, v objective, cross-attention of 24 heads over 12."""
    config = copy.deepcopy(OPEN_SMALL)
    config["sample_size"] = 2097152
    conditioning, diffusion = config["model"]["conditioning"], config["model"]["diffusion"]
    conditioning["configs"] = [
        {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-base", "max_length": 128}},
        *({"id": name, "type": "number", "config": {"min_val": 0, "max_val": 512}}
          for name in ("seconds_start", "seconds_total")),
    ]  # fmt: skip
    diffusion |= {
        "diffusion_objective": "v", "cross_attention_cond_ids": ["prompt", "seconds_start", "seconds_total"],
        "global_cond_ids": ["seconds_start", "seconds_total"],
    }  # fmt: skip
    diffusion["config"] = {
        "io_channels": 64, "embed_dim": 1536, "depth": 24, "num_heads": 24, "cond_token_dim": 768,
        "global_cond_dim": 1536, "project_cond_tokens": False, "transformer_type": "continuous_transformer",
    }  # fmt: skip
    return config


def written_by_the_host(folder: Path, config: dict[str, Any], *, parameters: float) -> None:
    """A full-size checkpoint from the host's own classes, every weight drawn."""
    from stable_audio_tools.models.factory import create_model_from_config

    host = randomise(create_model_from_config(config), 0)
    assert sum(p.numel() for p in host.model.parameters()) == pytest.approx(parameters, rel=0.01)
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in host.state_dict().items()}, folder / "model.safetensors")
    (folder / "model_config.json").write_text(json.dumps(config))


def assert_streams(live: lmdm.LiveModel, seconds: float, *, steps: int) -> None:
    """Some music of the right shape, finite and not silent."""
    pieces = list(live.stream("house in a minor", seconds=seconds, seed=1, sampling=lmdm.Sampling(steps=steps)))
    played = np.concatenate([piece.samples for piece in pieces], axis=1)
    assert played.shape == (2, round(seconds * 44100))
    assert np.isfinite(played).all() and played.std() > 0


@pytest.mark.slow
def test_full_size_checkpoint_converts_reloads_and_streams(tmp_path: Path, tiny_t5: None) -> None:
    written_by_the_host(tmp_path / "small", OPEN_SMALL, parameters=341e6)
    lmdm.convert(tmp_path / "small").save(tmp_path / "live")
    from stable_audio_tools.models.factory import create_model_from_config

    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("small", "live"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    create_model_from_config(OPEN_SMALL).load_state_dict(after, strict=True)
    del before, after
    live = lmdm.load(tmp_path / "live")
    assert_streams(live, SECONDS, steps=8)
    assert_streams(live.with_regime("encoder-decoder"), SECONDS, steps=2)
    stock = lmdm.load(tmp_path / "small", regime="outpaint")
    assert stock.spec == lmdm.BlockSpec(48, 4, "outpaint")
    assert_streams(stock, SECONDS, steps=1)


@pytest.mark.slow
def test_a_checkpoint_of_a_thousand_million_streams_in_every_regime(tmp_path: Path, tiny_t5: None) -> None:
    written_by_the_host(tmp_path / "open", open_1_0(), parameters=1057e6)
    live = lmdm.convert(tmp_path / "open")
    assert_streams(live, 3.0, steps=2)
    assert_streams(live.with_regime("encoder-decoder"), 3.0, steps=2)
    assert_streams(live.with_regime("outpaint"), 2.0, steps=1)
