"""The maths of fine-tuning: noise, shift, drops, block lengths."""

from __future__ import annotations

import math

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.samplers import estimate
from lmdm_adapter.training.draws import numpy_draws, torch_draws
from lmdm_adapter.training.drops import DropConfig, block_lengths, kept_blocks, prompt_kept
from lmdm_adapter.training.flow import distribution_shift, noised, per_frame, shifted_levels


def test_shift_multiplies_the_odds() -> None:
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    shifted = distribution_shift(t, 0.5)
    assert torch.allclose(shifted / (1 - shifted), math.exp(0.5) * t / (1 - t))
    assert torch.equal(distribution_shift(torch.tensor([0.0, 1.0]), 0.5), torch.tensor([0.0, 1.0]))
    assert torch.allclose(distribution_shift(t, 0.0), t)


def test_shifted_levels_have_the_shifted_median() -> None:
    levels = shifted_levels((20_000,), mu=0.5, generator=torch.Generator().manual_seed(0))
    assert levels.median().item() == pytest.approx(math.exp(0.5) / (1 + math.exp(0.5)), abs=0.01)


def test_velocity_leads_back_to_the_data() -> None:
    clean, eps = torch.randn(2, 3, 10), torch.randn(2, 3, 10)
    mixed = noised(clean, torch.tensor([0.3, 0.3]), eps)
    guess = estimate(mixed.x_t, mixed.velocity, 0.3, "rectified_flow")
    assert torch.allclose(guess.denoised, clean, atol=1e-6) and torch.allclose(guess.noise, eps, atol=1e-6)


def test_each_frame_gets_the_level_of_its_block() -> None:
    levels = per_frame(torch.tensor([[0.0, 1.0, 0.5]]), (2, 3, 1))
    assert levels.tolist() == [[0.0, 0.0, 1.0, 1.0, 1.0, 0.5]]
    clean, eps = torch.zeros(1, 1, 6), torch.ones(1, 1, 6)
    assert torch.equal(noised(clean, levels, eps).x_t, levels[:, None])


def test_context_drops_have_the_stated_shares() -> None:
    kept = kept_blocks(200, 200, context_blocks=4, drops=DropConfig(), generator=torch.Generator().manual_seed(0))
    shares = torch.bincount(kept.flatten(), minlength=5) / kept.numel()
    expected = torch.tensor([0.2 + 0.3 / 4, 0.3 / 4, 0.3 / 4, 0.3 / 4, 0.5])
    assert torch.allclose(shares, expected, atol=0.01)


def test_prompts_are_dropped_whole() -> None:
    kept = prompt_kept(20_000, drops=DropConfig(prompt=0.1), generator=torch.Generator().manual_seed(0))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert kept.mean().item() == pytest.approx(0.9, abs=0.01)


def test_block_lengths_vary_by_a_frame_in_some_steps() -> None:
    drops = DropConfig(jittered=0.5)
    drawn = [block_lengths(8, block_frames=12, drops=drops, draws=numpy_draws(0, s, "lengths")) for s in range(200)]
    equal = sum(lengths == (12,) * 8 for lengths in drawn)
    assert 70 < equal < 130
    assert {length for lengths in drawn for length in lengths} == {11, 12, 13}
    assert block_lengths(3, block_frames=1, drops=DropConfig(jittered=1.0), draws=numpy_draws(0, 0, "x")) == (1, 1, 1)


def test_draws_depend_on_seed_step_and_purpose() -> None:
    def drawn(seed: int, step: int, purpose: str) -> list[float]:
        return torch.rand(3, generator=torch_draws(seed, step, purpose)).tolist()

    assert drawn(1, 2, "a") == drawn(1, 2, "a")
    assert len({tuple(drawn(*key)) for key in [(1, 2, "a"), (2, 1, "a"), (1, 2, "b"), (1, 3, "a")]}) == 4


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(LmdmError, match="more than 1"):
        DropConfig(no_context=0.8, short_context=0.3)
    with pytest.raises(LmdmError, match="prompt"):
        DropConfig(prompt=1.5)
