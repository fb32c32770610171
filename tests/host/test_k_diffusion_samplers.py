"""The block denoiser under k-diffusion's own samplers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from k_diffusion import external, sampling
from torch import Tensor, nn

from lmdm_adapter.k_diffusion import SAMPLERS, BlockDenoiser, KSampling, k_sample, k_step, named_sampler
from lmdm_adapter.samplers import noise
from tests.models import tiny_live
from tests.randomise import randomise

START = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))


class ToyNet(nn.Module):
    """A small network for the v objective that hears level and neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.level = nn.Conv1d(4, 4, 3, padding=1), nn.Linear(1, 4)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Velocity `b c n` at levels `b`."""
        return torch.tanh(self.mix(x) + self.level(t[:, None])[..., None])


TOY = randomise(ToyNet(), 1).requires_grad_(False)


def toy_velocity(x: Tensor, t: float) -> Tensor:
    """TOY as a block's velocity."""
    return TOY(x, torch.full((len(x),), t))


def played(sampler: Any, *, steps: int = 12, seed: int = 3, denoiser: Any = None) -> Tensor:
    """One block of TOY; noise by row and draw."""
    settings = KSampling(sampler, steps=steps, sigma_min=0.01, sigma_max=100.0)
    rows = lambda step: torch.stack([noise(seed + row, 0, step, "test", shape=(4, 6)) for row in (0, 1)])  # noqa: E731
    return k_sample(denoiser or BlockDenoiser(toy_velocity, "v"), START, sampling=settings, fresh_noise=rows)


def test_the_denoiser_is_theirs() -> None:
    for sigma in (0.3, 5.0, 500.0):
        x, sigmas = START * sigma, torch.full((2,), sigma)
        theirs = external.VDenoiser(TOY)(x, sigmas)
        torch.testing.assert_close(BlockDenoiser(toy_velocity, "v")(x, sigmas), theirs, atol=1e-4, rtol=1e-5)


def test_the_sigmas_are_theirs() -> None:
    for rho in (1.0, 3.0):
        ours = KSampling(sampling.sample_euler, steps=20, rho=rho).sigmas()
        torch.testing.assert_close(ours, sampling.get_sigmas_polyexponential(20, 0.3, 500.0, rho))


def test_euler_is_an_independent_integration() -> None:
    """In `x / cos` DDIM on the quarter circle is Euler in sigma; without the scaling of x it is another result."""
    euler = sampling.sample_euler
    angles = [math.atan(sigma) for sigma in KSampling(euler, 12, 0.01, 100.0).sigmas()]
    x = math.sin(angles[0]) * START
    for angle, following in zip(angles[:-1], angles[1:], strict=True):
        v = toy_velocity(x, 2 * angle / math.pi)
        data, left = math.cos(angle) * x - math.sin(angle) * v, math.sin(angle) * x + math.cos(angle) * v
        x = math.cos(following) * data + math.sin(following) * left
    torch.testing.assert_close(played(euler), x, atol=1e-4, rtol=1e-4)

    def unscaled(x: Tensor, sigma: Tensor) -> Tensor:
        c = (1.0 + sigma[0] ** 2).rsqrt()
        return c**2 * x - sigma[0] * c * TOY(x, sigma.atan() * 2 / math.pi)

    assert (played(euler, denoiser=unscaled) - x).abs().max() > 0.05


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_named_sampler_is_a_pure_function(name: str) -> None:
    """Same seeds, same bits, and torch's own generator is where it was; noise reaches those that are stochastic."""
    sampler, before = named_sampler(name), torch.get_rng_state()
    first = played(sampler)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(played(sampler), first) and torch.isfinite(first).all()
    stochastic = "sde" in name or "ancestral" in name
    assert torch.equal(played(sampler, seed=9), first) != stochastic


def test_without_our_care_euler_moves_the_global_generator() -> None:
    """The reason for putting it back: the bare function draws, even where it adds no noise."""
    before = torch.get_rng_state()
    sampling.sample_euler(BlockDenoiser(toy_velocity, "v"), START, torch.tensor([1.0, 0.0]), disable=True)
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_live_model_streams_by_every_named_sampler(name: str) -> None:
    live, settings = tiny_live(diffusion_objective="v"), KSampling(named_sampler(name), steps=4, guidance=2.0)
    state = live.start(1)
    for _ in range(6):
        audio, state = k_step(live, state, "house", sampling=settings)
    assert state.block_index == 6 and torch.isfinite(state.pending[0].latents).all()
    assert audio.samples.shape[1] > 0
