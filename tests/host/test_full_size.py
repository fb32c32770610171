"""Once at full size: a checkpoint of Stable Audio Open Small's shape, written by the host, converts and streams."""

from __future__ import annotations

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
DIT_PARAMETERS = 341e6


def written_by_the_host(folder: Path) -> None:
    """A full-size checkpoint from the host's own classes, every weight drawn."""
    from stable_audio_tools.models.factory import create_model_from_config

    host = randomise(create_model_from_config(OPEN_SMALL), 0)
    assert sum(p.numel() for p in host.model.parameters()) == pytest.approx(DIT_PARAMETERS, rel=0.01)
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in host.state_dict().items()}, folder / "model.safetensors")
    (folder / "model_config.json").write_text(json.dumps(OPEN_SMALL))


@pytest.mark.slow
def test_full_size_checkpoint_converts_reloads_and_streams(tmp_path: Path, tiny_t5: None) -> None:
    written_by_the_host(tmp_path / "small")
    lmdm.convert(tmp_path / "small").save(tmp_path / "live")
    from stable_audio_tools.models.factory import create_model_from_config

    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("small", "live"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    create_model_from_config(OPEN_SMALL).load_state_dict(after, strict=True)
    del before, after
    live = lmdm.load(tmp_path / "live")
    pieces = list(live.stream("house in a minor", seconds=SECONDS, seed=1, sampling=lmdm.Sampling(steps=8)))
    played = np.concatenate([piece.samples for piece in pieces], axis=1)
    assert played.shape == (2, round(SECONDS * 44100))
    assert np.isfinite(played).all() and played.std() > 0
