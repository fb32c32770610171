"""Rectified flow: what is mixed, and what the network should say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Noised(NamedTuple):
    """Noisy latents, their noise level per frame, and the velocity that made them."""

    x_t: Tensor
    t: Tensor
    velocity: Tensor


def distribution_shift(t: Tensor, mu: float) -> Tensor:
    """Move noise levels in [0, 1] towards noise: the odds `t / (1 - t)` are multiplied by `e^mu`."""
    odds = math.exp(mu)
    return odds * t / (1.0 - t + odds * t)


def noised(clean: Tensor, t: Tensor, noise: Tensor) -> Noised:
    """`x_t = (1 - t) x + t eps` and `eps - x` for latents `b c n`; `t` is one level per row `b` or per frame `b n`."""
    per_frame = t[:, None, None] if t.ndim == 1 else t[:, None, :]
    return Noised((1.0 - per_frame) * clean + per_frame * noise, t, noise - clean)


def per_frame(levels: Tensor, lengths_frames: Sequence[int]) -> Tensor:
    """One level per block, `b k`, to one per frame, `b n`."""
    return levels.repeat_interleave(torch.tensor(tuple(lengths_frames), device=levels.device), dim=1)


def shifted_levels(shape: tuple[int, ...], *, mu: float, generator: torch.Generator) -> Tensor:
    """Noise levels of the given shape, uniform and then shifted."""
    return distribution_shift(torch.rand(shape, generator=generator), mu)
