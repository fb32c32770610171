"""Blocks denoised by samplers that are called like k-diffusion's; tests/host has the same with k-diffusion itself."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.k_diffusion import SAMPLERS, BlockDenoiser, KSampling, k_sample, k_step, level_of, named_sampler
from lmdm_adapter.live import LiveModel
from lmdm_adapter.rollout import Told, block_velocity
from lmdm_adapter.samplers import alpha_sigma
from lmdm_adapter.spec import Regime
from lmdm_adapter.state import StreamState
from tests.models import SPEC, tiny_live

PROMPT = "house 120 bpm"
GENERATOR = torch.Generator().manual_seed(0)
CLEAN, NOISE = (torch.randn(2, 4, 6, generator=GENERATOR) for _ in range(2))


def euler(model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigmas: Tensor, disable: bool | None = None) -> Tensor:
    """Euler's method in sigma; like k-diffusion's it draws from the global generator, for nothing."""
    assert disable, "a stream has no progress bar for each block"
    for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        torch.randn_like(x)
        slope = (x - model(x, sigma.expand(len(x)))) / sigma
        x = x + (following - sigma) * slope
    return x


def ancestral(
    model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigmas: Tensor, noise_sampler: Any = None
) -> Tensor:
    """Clean data and fresh noise at every step."""
    for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        x = model(x, sigma.expand(len(x)))
        if following > 0:
            x = x + following * noise_sampler(sigma, following)
    return x


def by_ends(model: Any, x: Tensor, sigma_min: float, sigma_max: float, n: int) -> Tensor:
    """Called like k-diffusion's dpm-fast: no list of sigmas."""
    return model(x, torch.full((len(x),), sigma_max)) + n * sigma_min


def true_velocity(objective: str) -> Callable[[Tensor, float], Tensor]:
    """What a perfect network says about CLEAN."""

    def velocity(x_t: Tensor, t: float) -> Tensor:
        alpha, sigma = alpha_sigma(t, objective)
        noise = (x_t - alpha * CLEAN) / sigma
        return alpha * noise - sigma * CLEAN if objective == "v" else noise - CLEAN

    return velocity


@pytest.mark.parametrize("objective", ["v", "rectified_flow"])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 500.0])
def test_a_perfect_velocity_gives_the_clean_data(objective: str, sigma: float) -> None:
    denoise = BlockDenoiser(true_velocity(objective), objective)
    denoised = denoise(CLEAN + sigma * NOISE, torch.full((2,), sigma))
    torch.testing.assert_close(denoised, CLEAN, atol=2e-3, rtol=0)
    other = "v" if objective == "rectified_flow" else "rectified_flow"
    wrong = BlockDenoiser(true_velocity(objective), other)(CLEAN + sigma * NOISE, torch.full((2,), sigma))
    assert (wrong - CLEAN).abs().max() > 0.1


@pytest.mark.parametrize("sigma", [0.3, 2.0, 100.0])
def test_the_formula_for_v(sigma: float) -> None:
    """c = 1/sqrt(1 + sigma^2), t = 2/pi atan sigma, c^2 x - sigma c v(c x, t)."""
    asked = []

    def velocity(x: Tensor, t: float) -> Tensor:
        asked.append(t)
        return torch.tanh(x) * (1.0 + t)

    denoised = BlockDenoiser(velocity, "v")(NOISE, torch.full((2,), sigma))
    c, t = 1.0 / math.sqrt(1.0 + sigma**2), 2.0 / math.pi * math.atan(sigma)
    assert asked == [pytest.approx(t)]
    torch.testing.assert_close(denoised, c**2 * NOISE - sigma * c * torch.tanh(c * NOISE) * (1.0 + t))
    assert not torch.allclose(denoised, c**2 * NOISE - sigma * c * torch.tanh(NOISE) * (1.0 + t)), "x must be scaled"


@pytest.mark.parametrize("objective", ["v", "rectified_flow"])
@pytest.mark.parametrize("sigma", [0.01, 1.0, 80.0])
def test_a_level_has_its_sigma(objective: str, sigma: float) -> None:
    alpha, weight = alpha_sigma(level_of(sigma, objective), objective)
    assert weight / alpha == pytest.approx(sigma)


def test_rows_of_a_block_share_their_sigma() -> None:
    with pytest.raises(LmdmError, match="1.0, 2.0"):
        BlockDenoiser(true_velocity("v"), "v")(NOISE, torch.tensor([1.0, 2.0]))


def test_sigmas_fall_evenly_in_log_and_end_at_zero() -> None:
    sigmas = KSampling(euler, steps=5, sigma_min=0.3, sigma_max=500.0).sigmas()
    assert sigmas.tolist()[0] == pytest.approx(500.0) and sigmas.tolist()[-2:] == [pytest.approx(0.3), 0.0]
    ratios = sigmas[1:5] / sigmas[:4]
    torch.testing.assert_close(ratios, ratios[:1].expand(4))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "denoise step"),
        ({"guidance": float("nan")}, "Guidance"),
        ({"sigma_min": 0.0}, "sigma_min"),
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_max"),
        ({"sigma_max": float("inf")}, "sigma_max"),
        ({"rho": -1.0}, "rho"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(LmdmError, match=says):
        KSampling(euler, **settings)


def play(live: LiveModel, sampling: KSampling, *, blocks: int = 3, seed: int = 4) -> tuple[Tensor, np.ndarray]:
    """Latents and audio of a few blocks."""
    state, latents, audio = live.start(seed), [], []
    for _ in range(blocks):
        piece, state = k_step(live, state, PROMPT, sampling=sampling)
        latents.append(state.pending[0].latents)
        audio.append(piece.samples)
    return torch.cat(latents, dim=-1), np.concatenate(audio, axis=1)


def reference(velocity: Callable[[Tensor, float], Tensor], start: Tensor, sigmas: list[float]) -> Tensor:
    """DDIM on the quarter circle, without BlockDenoiser: in `x / cos` it is Euler's method in sigma, exactly."""
    angles = [math.atan(sigma) for sigma in sigmas]
    x = math.cos(angles[0]) * sigmas[0] * start
    for angle, following in zip(angles[:-1], angles[1:], strict=True):
        v = velocity(x, 2 * angle / math.pi)
        data, noise = math.cos(angle) * x - math.sin(angle) * v, math.sin(angle) * x + math.cos(angle) * v
        x = math.cos(following) * data + math.sin(following) * noise
    return x


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_euler_in_sigma_is_an_independent_integration(guidance: float) -> None:
    """On a network, after a block of context; of a wrong objective's formula it is far."""
    live = tiny_live(diffusion_objective="v")
    _, state = live.step(live.start(4), PROMPT)
    velocity, start = velocity_of(live, state, guidance), NOISE[:1]
    sampling = KSampling(euler, steps=12, sigma_min=0.01, sigma_max=100.0)
    play_one = lambda denoiser: k_sample(denoiser, start, sampling=sampling, fresh_noise=lambda _: start)  # noqa: E731
    with torch.inference_mode():
        expected = reference(velocity, start, sampling.sigmas().tolist())
        played = play_one(BlockDenoiser(velocity, "v"))
        wrong = play_one(BlockDenoiser(velocity, "rectified_flow"))
    scale = float(expected.abs().max())
    assert float((played - expected).abs().max()) < 1e-3 * scale
    assert float((wrong - expected).abs().max()) > 0.1 * scale


def velocity_of(live: LiveModel, state: StreamState, guidance: float) -> Callable[[Tensor, float], Tensor]:
    """The guided velocity of the next block."""
    with torch.inference_mode():
        heard = condition(live.network, Controls.of(PROMPT), window_seconds=live.window_seconds, device=live.device)
        told = Told.of(live.network.dit, heard, guidance=guidance)
        return block_velocity(live.network.dit, state, told, spec=live.spec)[0]


@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder", "outpaint"])
@pytest.mark.parametrize("sampler", [euler, ancestral, by_ends])
def test_a_stream_is_a_pure_function_of_its_seed(sampler: Any, regime: Regime) -> None:
    """Same seed, same bits; another seed, other music; torch's own generator is where it was."""
    live = tiny_live(spec=replace(SPEC, regime=regime), diffusion_objective="v")
    sampling = KSampling(sampler, steps=4)
    before = torch.get_rng_state()
    latents, audio = play(live, sampling)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again, _ = play(live, sampling)
    other, _ = play(live, sampling, seed=5)
    assert torch.equal(latents, again) and not torch.allclose(latents, other)
    assert latents.shape == (1, 4, 18) and np.isfinite(audio).all()


def test_every_step_of_every_block_gets_noise_of_its_own() -> None:
    seen: list[Tensor] = []

    def listening(model: Any, x: Tensor, sigmas: Tensor, noise_sampler: Any) -> Tensor:
        seen.extend([x / sigmas[0], noise_sampler(2.0, 1.0), noise_sampler(1.0, 0.5)])
        return model(x, sigmas[:1])

    play(tiny_live(diffusion_objective="v"), KSampling(listening), blocks=2)
    assert len(seen) == 6
    assert all(not torch.allclose(one, other) for i, one in enumerate(seen) for other in seen[:i])
    assert all(0.5 < float(one.std()) < 1.5 for one in seen)


def test_context_reaches_the_block() -> None:
    """One callable per block: from another past the same noise becomes other music."""
    live, sampling = tiny_live(diffusion_objective="v"), KSampling(euler, steps=4)
    _, one = k_step(live, live.start(1), "house", sampling=sampling)
    _, other = k_step(live, live.start(1), "techno", sampling=sampling)
    futures = [k_step(live, state, PROMPT, sampling=sampling)[1].pending[0].latents for state in (one, other)]
    assert not torch.allclose(*futures)


def test_without_k_diffusion_the_error_has_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k_diffusion", None)
    with pytest.raises(LmdmError, match=r"pip install 'lmdm-adapter\[k-diffusion\]'"):
        named_sampler("dpmpp-3m-sde")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LmdmError, match="k-dpm-adaptive.*dpmpp-3m-sde"):
        named_sampler("k-dpm-adaptive")
    assert "k-dpm-adaptive" not in SAMPLERS
