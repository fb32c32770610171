"""What the drop-in for host pipelines cannot honour is refused by name, before any music."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import BlockSpec
from tests.host_requests import HOUSE, TECHNO, ask, streamed
from tests.models import SAMPLE_RATE, SPEC, tiny_live


def tensors_for(live: LiveModel) -> dict[str, Any]:
    with torch.no_grad():
        return dict(live.network.conditioners([HOUSE], "cpu"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"init_noise_level": 0.5}, "init_noise_level=0.5"),
        ({"scale_phi": 0.7}, "scale_phi=0.7"),
        ({"cfg_interval": (0, 1)}, "cfg_interval"),
        ({"sigma_min": 0.3}, "sigma_min=0.3.*dpmpp-3m-sde"),
        ({"sampler_type": "rk4"}, "'rk4'.*euler"),
        ({"sampler_type": "k-dpm-adaptive"}, "k-dpm-adaptive"),
        ({"sample_rate": 44100}, "44100.*1000 Hz"),
        ({"device": "cuda"}, "'cuda'.*'cpu'"),
        ({"device": "cpu:1"}, "'cpu:1'.*'cpu'"),
        ({"conditioning": None}, "conditioning or conditioning_tensors"),
        ({"conditioning": HOUSE}, "one dict for each row"),
        ({"conditioning": []}, "one dict for each row"),
        ({"conditioning": [{**HOUSE, "tempo": 120}]}, "'tempo'.*hears seconds_total, prompt"),
        ({"conditioning": [{"seconds_total": 3}]}, "'prompt'"),
        ({"conditioning": [{**HOUSE, "seconds_total": "long"}]}, "'long'"),
        ({"conditioning": [HOUSE, TECHNO]}, "2 rows, but batch_size=1"),
        ({"conditioning": [HOUSE, TECHNO], "batch_size": 3}, "2 rows, but batch_size=3"),
        ({"negative_conditioning": [HOUSE]}, "cfg_scale other than 1"),
        ({"negative_conditioning": [HOUSE, TECHNO], "cfg_scale": 3}, "2 rows"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"sample_size": 7}, "sample_size must be at least 8"),
        ({"sample_size": 80.5}, "80.5"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": -2}, "seed must be at least -1"),
        ({"cfg_scale": -1.0}, "Guidance"),
        ({"init_audio": (44100, torch.zeros(1, 400))}, "at least one block"),
        ({"init_audio": (44100.5, torch.zeros(1, 400))}, "44100.5"),
        ({"init_audio": (0, torch.zeros(1, 400))}, "sample rate of init_audio must be at least 1"),
        ({"init_audio": (SAMPLE_RATE, torch.zeros(2, 1, 400))}, r"\(2, 1, 400\)"),
        ({"init_audio": (SAMPLE_RATE, torch.zeros(1, 20))}, "at least one block"),
        ({"spec": BlockSpec()}, "live already"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    """At once: no music is made first."""
    with pytest.raises(LmdmError, match=says):
        streamed(tiny_live(), **changes)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda told: told.pop("seconds_total"), "lack 'seconds_total'"),
        (lambda told: told.update(tempo=told["prompt"]), "'tempo'"),
        (lambda told: told.update(prompt=(told["prompt"][0][0, 0], None)), "shape"),
        (lambda told: told.update(seconds_total=told["prompt"]), "one token"),
    ],
    ids=["missing", "unknown", "shape", "tokens"],
)
def test_unfit_conditioning_tensors_are_refused(spoil: Callable[[dict[str, Any]], object], says: str) -> None:
    live = tiny_live()
    told = tensors_for(live)
    with pytest.raises(LmdmError, match="not both"):
        streamed(live, conditioning_tensors=told)
    spoil(told)
    with pytest.raises(LmdmError, match=says):
        streamed(live, conditioning=None, conditioning_tensors=told)


def test_something_else_is_refused() -> None:
    with pytest.raises(LmdmError, match="Linear"):
        ask(torch.nn.Linear(2, 2), spec=SPEC)
