"""A pipeline around stable-audio-tools goes on working after `convert`, and gets music of any length beside it.

usage: python examples/existing_pipeline.py [FOLDER]

FOLDER holds a Stable Audio checkpoint as the hub has it, `model_config.json` and `model.safetensors`; without one, a
tiny model with random weights makes a tiny noise. Needs stable-audio-tools: pip install
'lmdm-adapter[stable-audio-tools]'.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from stable_audio_tools.inference.generation import generate_diffusion_cond
from stable_audio_tools.models.factory import create_model_from_config

import lmdm_adapter
from lmdm_adapter.hosts import stable_audio_tools as ours
from lmdm_adapter.pipeline import Progress

OOBLECK = {"channels": 4, "c_mults": [1, 2, 2], "strides": [2, 2, 4], "use_snake": True}
TINY: dict[str, Any] = {
    "model_type": "diffusion_cond", "sample_size": 4096, "sample_rate": 8000, "audio_channels": 2,
    "model": {
        "io_channels": 4,
        "pretransform": {
            "type": "autoencoder", "iterate_batch": True,
            "config": {
                "encoder": {"type": "oobleck", "config": {**OOBLECK, "in_channels": 2, "latent_dim": 8}},
                "decoder": {"type": "oobleck",
                            "config": {**OOBLECK, "out_channels": 2, "latent_dim": 4, "final_tanh": False}},
                "bottleneck": {"type": "vae"}, "latent_dim": 4, "downsampling_ratio": 16, "io_channels": 2,
            },
        },
        "conditioning": {
            "cond_dim": 32, "configs": [{"id": "seconds_total", "type": "number", "config": {"max_val": 256}}],
        },
        "diffusion": {
            "type": "dit", "diffusion_objective": "rectified_flow",
            "cross_attention_cond_ids": ["seconds_total"], "global_cond_ids": ["seconds_total"],
            "config": {
                "io_channels": 4, "embed_dim": 128, "depth": 2, "num_heads": 2, "cond_token_dim": 32,
                "global_cond_dim": 32, "transformer_type": "continuous_transformer", "attn_kwargs": {"qk_norm": "ln"},
            },
        },
    },
}  # fmt: skip
PROMPT = {"prompt": "warm house, 124 BPM", "seconds_start": 0}


def tiny_model() -> torch.nn.Module:
    """A host's model; its zero-initialised layers are drawn too, or it would hear nothing."""
    model, generator = create_model_from_config(TINY), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=weight[0].numel() ** -0.5 / 2)
    return model


def read_model(folder: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A checkpoint as the host reads it."""
    from safetensors.torch import load_file

    config = json.loads((folder / "model_config.json").read_text(encoding="utf-8"))
    model = create_model_from_config(config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model, config


def main(folder: str | None = None, *, steps: int = 8, times_longer: int = 3) -> dict[str, torch.Tensor]:
    """The host's own music before and after `convert`, and ours, `times_longer` times as long."""
    model, config = (tiny_model(), TINY) if folder is None else read_model(Path(folder))
    model.eval().requires_grad_(False)
    known = {conditioner["id"] for conditioner in config["model"]["conditioning"]["configs"]}
    told = {**PROMPT, "seconds_total": config["sample_size"] / config["sample_rate"]}
    conditioning = [{key: value for key, value in told.items() if key in known}]
    request = {"steps": steps, "cfg_scale": 4.0, "conditioning": conditioning, "seed": 7, "device": "cpu"}
    longer = {**request, "sample_size": times_longer * config["sample_size"], "callback": report}

    before = generate_diffusion_cond(model, sample_size=config["sample_size"], **request)
    live = lmdm_adapter.convert(model, config=config)
    after = generate_diffusion_cond(model, sample_size=config["sample_size"], **request)
    print(f"the host before and after: {'identical' if torch.equal(before, after) else 'DIFFERENT'}")

    print("the host's model with our function, which outpaints:")
    outpainted = ours.generate_diffusion_cond(model, **longer)
    print("the converted model, which is faster, and better once it is fine-tuned:")
    streamed = ours.generate_diffusion_cond(live, **longer)
    return {"before": before, "after": after, "outpainted": outpainted, "streamed": streamed}


def report(done: Progress) -> None:
    """One line for each block."""
    print(f"  block {done.block + 1} of {done.blocks}: {done.seconds:.2f} s are final")


if __name__ == "__main__":
    main(*sys.argv[1:2])
