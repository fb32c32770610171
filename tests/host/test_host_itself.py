"""The environment of the host tests: the real host is built, and its redrawn weights make it listen."""

from __future__ import annotations

import configs
import pytest
import torch

CONFIGS = {"small": configs.open_small(), "1.0": configs.open_1_0()}


def velocity(model, prompt: str, *, seconds: float = 5.0, level: float = 0.7, latents=None) -> torch.Tensor:
    metadata = {"prompt": prompt, "seconds_start": 0, "seconds_total": seconds}
    conditioning = model.conditioner([metadata], "cpu")
    if latents is None:
        latents = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(latents, torch.tensor([level]), cond=conditioning, cfg_scale=1.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_redrawn_host_listens_to_everything(name, host_model):
    model = host_model(CONFIGS[name], 3)
    before = velocity(model, "house in a minor")
    latents = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(1))
    latents[..., 0] += 1
    changes = {
        "prompt": velocity(model, "dusty piano in a minor"),
        "seconds": velocity(model, "house in a minor", seconds=40.0),
        "level": velocity(model, "house in a minor", level=0.3),
        "first frame": velocity(model, "house in a minor", latents=latents),
    }
    assert before.std() > 0.1
    for what, after in changes.items():
        assert (after - before)[..., 4:].abs().max() > 1e-3, what


@pytest.mark.parametrize("name", CONFIGS)
def test_fresh_host_listens_to_nothing(name, host_model):
    """The reason for redrawing: with the host's own initialisation any prompt gives the same output."""
    model = host_model(CONFIGS[name], fresh=True)
    assert torch.equal(velocity(model, "house"), velocity(model, "punk drums", seconds=40.0, level=0.3))


def test_codec_round_trip_has_the_configured_ratio(host_model):
    model = host_model(CONFIGS["small"], 3)
    audio = torch.randn(1, 2, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        latents = model.pretransform.encode(audio)
        assert latents.shape == (1, 4, 4)
        assert model.pretransform.decode(latents).shape == audio.shape


def test_same_seed_same_weights(host_model):
    first, second = (host_model(CONFIGS["1.0"], 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = host_model(CONFIGS["1.0"], 4).state_dict()
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_compile_works_beside_the_stubs(host_model):
    compiled = torch.compile(lambda x: x * 2 + 1, backend="eager")
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 3.0))
