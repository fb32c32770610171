"""Schedules, samplers and noise against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.samplers import alpha_sigma, estimate, noise, noise_levels, sample
from lmdm_adapter.spec import Sampling
from tests.toy import draw

PUBLISHED_LEVELS = [1.0, 0.9933, 0.982, 0.9526, 0.8808, 0.7311, 0.5, 0.2689, 0.0]
OBJECTIVES = ["rectified_flow", "rf_denoiser", "v"]


def test_levels_are_the_published_ones() -> None:
    assert noise_levels(8, "rectified_flow") == pytest.approx(PUBLISHED_LEVELS, abs=1e-4)


def test_levels_of_v_have_the_same_signal_to_noise_ratio() -> None:
    flow, v = noise_levels(8, "rectified_flow")[1:-1], noise_levels(8, "v")[1:-1]
    for t_flow, t_v in zip(flow, v, strict=True):
        alpha, sigma = alpha_sigma(t_v, "v")
        assert math.log(alpha / sigma) == pytest.approx(math.log((1 - t_flow) / t_flow), abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_estimate_undoes_the_mixture(objective: str) -> None:
    data, eps, t = draw(1, 2, 3, seed=1), draw(1, 2, 3, seed=2), 0.3
    alpha, sigma = alpha_sigma(t, objective)
    velocity = alpha * eps - sigma * data if objective == "v" else eps - data
    guess = estimate(alpha * data + sigma * eps, velocity, t, objective)
    torch.testing.assert_close(guess.denoised, data)
    torch.testing.assert_close(guess.noise, eps)


@pytest.mark.parametrize("sampler", ["pingpong", "euler"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_perfect_model_is_followed_to_its_data(sampler: str, objective: str) -> None:
    """A network that knows the data gets there with any number of steps, whatever noise is mixed in."""
    data = draw(1, 2, 3, seed=1)

    def perfect(x: Tensor, t: float) -> Tensor:
        alpha, sigma = alpha_sigma(t, objective)
        eps = (x - alpha * data) / sigma
        return alpha * eps - sigma * data if objective == "v" else eps - data

    for steps in (1, 2, 5):
        out = sample(perfect, draw(1, 2, 3, seed=2), sampling=Sampling(steps, sampler), objective=objective,
                     fresh_noise=lambda step: draw(1, 2, 3, seed=step))  # fmt: skip
        torch.testing.assert_close(out, data, atol=1e-5, rtol=1e-4)


def test_euler_is_the_velocity_step() -> None:
    """x' = x + (t' - t) v for flows; ping-pong mixes fresh noise instead."""
    levels, x, velocity = noise_levels(2, "rectified_flow"), draw(1, 2, 3), draw(1, 2, 3, seed=9)
    seen: list[Tensor] = []

    def model(x_t: Tensor, _t: float) -> Tensor:
        seen.append(x_t)
        return velocity

    fresh = draw(1, 2, 3, seed=5)
    for sampler in ("euler", "pingpong"):
        sample(model, x, sampling=Sampling(2, sampler), objective="rectified_flow", fresh_noise=lambda _: fresh)
    torch.testing.assert_close(seen[1], x + (levels[1] - levels[0]) * velocity)
    torch.testing.assert_close(seen[3], (1 - levels[1]) * (x - velocity) + levels[1] * fresh)


def test_noise_is_a_pure_function_of_its_arguments() -> None:
    torch.manual_seed(0)
    first = noise(7, 3, 1, "denoise", shape=(2, 3))
    torch.manual_seed(1)
    torch.randn(5)
    before = torch.get_rng_state()
    assert torch.equal(first, noise(7, 3, 1, "denoise", shape=(2, 3)))
    assert torch.equal(before, torch.get_rng_state()), "the caller's generator was disturbed"
    others = [noise(8, 3, 1, "denoise", shape=(2, 3)), noise(7, 4, 1, "denoise", shape=(2, 3)),
              noise(7, 3, 2, "denoise", shape=(2, 3)), noise(7, 3, 1, "delay", shape=(2, 3))]  # fmt: skip
    assert all(not torch.equal(first, other) for other in others)
    large = noise(1, 1, 1, "denoise", shape=(64, 1000))
    assert abs(float(large.mean())) < 0.02 and abs(float(large.std()) - 1) < 0.02


@pytest.mark.parametrize("bad", [{"steps": 0}, {"sampler": "heun"}, {"guidance": -1.0}, {"guidance": float("nan")}])
def test_bad_sampling_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(LmdmError):
        Sampling(**bad)
