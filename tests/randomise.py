"""Draw every weight of a network anew, so that no zero initialisation can hide a mistake.

A freshly built host zero-initialises its output projections: its output ignores attention, prompt and time, and any
mask passes any test. Every law about a network draws its weights with `randomise` first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAIN_NAMES = ("gamma", "weight_g", "original0")


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Redraw all parameters of `module` in place from a normal seeded by `seed`, and return it.

    Matrices and kernels are scaled by `1 / sqrt(fan_in)`, gains lie around 1, biases and Snake scales around 0.
    Parameters are visited in the order of their names, so equal names and shapes get equal weights.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(_draw(module, name, noise))
    return module


def _draw(module: nn.Module, name: str, noise: Tensor) -> Tensor:
    owner_name, _, leaf = name.rpartition(".")
    if leaf == "weights" or isinstance(module.get_submodule(owner_name), nn.Embedding):
        return noise
    if leaf in GAIN_NAMES or (leaf == "weight" and noise.dim() == 1):
        return 1.0 + 0.2 * noise
    if noise.dim() < 2:
        return 0.2 * noise
    return noise / math.sqrt(noise[0].numel())
