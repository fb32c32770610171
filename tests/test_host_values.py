"""What a host's request leaves out has the host's own values, in a model that hears what Stable Audio Open hears."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.k_diffusion import SAMPLERS
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import Sampling
from tests.host_requests import HOUSE, SAMPLES, ask
from tests.models import HOST_CONFIG, SAMPLE_RATE, host_config, tiny_live, tiny_section
from tests.randomise import randomise

SECONDS = ("seconds_start", "seconds_total")


@pytest.fixture(scope="module")
def open_like() -> LiveModel:
    """A tiny live model with both numbers in cross-attention and side by side as global conditioning."""
    dit = {**HOST_CONFIG["model"]["diffusion"]["config"], "global_cond_dim": 32}
    config: Any = host_config(cross_attention_cond_ids=["prompt", *SECONDS], global_cond_ids=[*SECONDS], config=dit)
    (number,) = config["model"]["conditioning"]["configs"]
    config["model"]["conditioning"].update(
        configs=[{**number, "id": name} for name in SECONDS], default_keys={"prompt": "text"}
    )
    network = Network(tiny_section().extend(network_config(config)))
    randomise(network, 0)
    return LiveModel(network.requires_grad_(False).eval(), tiny_section(), config)


def test_seconds_that_are_left_out_are_those_of_live_play(open_like: LiveModel) -> None:
    pieces = open_like.stream("house", SAMPLES / SAMPLE_RATE, seed=5, sampling=Sampling(steps=3))
    live = torch.from_numpy(np.concatenate([piece.samples for piece in pieces], axis=1))
    assert torch.equal(ask(open_like, conditioning=[{"prompt": "house"}])[0], live)
    for name in SECONDS:
        assert not torch.allclose(ask(open_like, conditioning=[{"prompt": "house", name: 9.0}])[0], live)


def test_the_models_own_rate_may_be_said() -> None:
    live = tiny_live()
    assert torch.equal(ask(live, sample_rate=SAMPLE_RATE), ask(live))


def test_tensors_for_global_conditioning_alone_are_heard() -> None:
    """A number need not be in cross-attention."""
    live = tiny_live(cross_attention_cond_ids=["prompt"])
    with torch.no_grad():
        told, other = (live.network.conditioners([row], "cpu") for row in (HOUSE, {**HOUSE, "seconds_total": 9.0}))
    by_tensors, others = (ask(live, conditioning=None, conditioning_tensors=one) for one in (told, other))
    assert torch.equal(by_tensors, ask(live)) and not torch.allclose(by_tensors, others)


def test_a_value_may_come_under_its_default_key(open_like: LiveModel) -> None:
    named, other = ({**HOUSE, "prompt": prompt} for prompt in ("house", "techno"))
    keyed = {"text": "house", "seconds_total": HOUSE["seconds_total"]}
    expected = ask(open_like, conditioning=[named])
    assert torch.equal(ask(open_like, conditioning=[keyed]), expected)
    assert not torch.allclose(ask(open_like, conditioning=[other]), expected)


@pytest.mark.parametrize(("name", "value", "other"), [
    ("sigma_min", 0.01, 0.02), ("sigma_max", 100.0, 200.0), ("rho", 1.0, 2.0),
])  # fmt: skip
def test_sigmas_that_are_left_out_are_the_hosts(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, other: float
) -> None:
    """Those of its `sample_k`, told by a sampler that shows the levels it is given."""

    def first_two(model: Any, x: Tensor, sigmas: Tensor) -> Tensor:
        return torch.ones_like(x) * (sigmas[0] + sigmas[1])

    monkeypatch.setattr("lmdm_adapter.host_request.named_sampler", lambda name: first_two)
    live, settings = tiny_live(diffusion_objective="v"), {"sampler_type": next(iter(SAMPLERS)), "return_latents": True}
    expected = ask(live, **settings)
    assert torch.equal(ask(live, **settings, **{name: value}), expected)
    assert not torch.allclose(ask(live, **settings, **{name: other}), expected, rtol=1e-6, atol=1e-6)
