"""Requests to the drop-in for host pipelines, with a tiny model's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lmdm_adapter.hosts import stable_audio_tools as drop_in

FRAME = 8
SAMPLES = 40 * FRAME
HOUSE, TECHNO = {"prompt": "house", "seconds_total": 3.0}, {"prompt": "techno a minor", "seconds_total": 9.0}


def ask(model: Any, **changes: Any) -> Tensor:
    """A request with short settings."""
    settings = {"steps": 3, "cfg_scale": 1.0, "conditioning": [HOUSE], "sample_size": SAMPLES, "seed": 5,
                "device": "cpu", **changes}  # fmt: skip
    return drop_in.generate_diffusion_cond(model, **settings)


def streamed(model: Any, **changes: Any) -> Iterator[Tensor]:
    """The same in pieces."""
    settings = {"steps": 3, "cfg_scale": 1.0, "conditioning": [HOUSE], "sample_size": SAMPLES, "seed": 5,
                "device": "cpu", **changes}  # fmt: skip
    return drop_in.stream_diffusion_cond(model, **settings)
