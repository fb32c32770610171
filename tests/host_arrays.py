"""Latents and configs as stable-audio-tools saves them, for tests about data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.models import LATENT_CHANNELS

FRAMES, SOUNDING = 40, 30


def write_array(folder: Path, name: str, *, frames: int = FRAMES, dtype: str = "float16", **facts: Any) -> np.ndarray:
    """An array and its metadata, as the host's script saves them: padded, and before the scale is applied."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, name))
    latents = np.random.default_rng(seed).normal(size=(LATENT_CHANNELS, frames)).astype(dtype)
    np.save(folder / f"{name}.npy", latents)
    mask = [1] * SOUNDING + [0] * (frames - SOUNDING)
    known = {"relpath": f"loops/03_{name}-take.wav", "seconds_total": 3, "padding_mask": mask, **facts}
    (folder / f"{name}.json").write_text(json.dumps({key: fact for key, fact in known.items() if fact is not None}))
    return latents


def write_config(path: Path, folder: Path, dataset_type: str = "pre_encoded", **more: Any) -> Path:
    """A dataset config with one dataset."""
    values = {"dataset_type": dataset_type, "datasets": [{"id": "mine", "path": str(folder)}], **more}
    path.write_text(json.dumps(values))
    return path
