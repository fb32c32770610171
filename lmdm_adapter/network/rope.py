"""Rotary positions on the first part of each head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

BASE = 10_000.0


class Rotation(NamedTuple):
    """Cosines and sines of some positions, each `n r`, in fp32."""

    cos: Tensor
    sin: Tensor


class RotaryEmbedding(nn.Module):
    """The table of rotary frequencies; the checkpoint's own `inv_freq` wins over this default."""

    def __init__(self, rotary_width: int) -> None:
        super().__init__()
        exponents = torch.arange(0, rotary_width, 2).float() / rotary_width
        self.register_buffer("inv_freq", BASE**-exponents)

    def forward(self, positions: Tensor) -> Rotation:
        """Rotation for `positions` (shape `n`, in frames; negative ones are fine)."""
        angles = positions.float()[:, None] * self.inv_freq.float()[None, :]
        angles = torch.cat([angles, angles], dim=-1)
        return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the first `r` channels of `x` (`b h n d`) in fp32, pairing channel i with i + r/2; keeps the dtype."""
    width = rotation.cos.shape[-1]
    turned, rest = x[..., :width].float(), x[..., width:]
    first, second = turned.chunk(2, dim=-1)
    turned = turned * rotation.cos + torch.cat([-second, first], dim=-1) * rotation.sin
    return torch.cat([turned.to(x.dtype), rest], dim=-1)
