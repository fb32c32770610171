"""A judge of spectrograms: tells real music from decoded music by how its spectrum moves.

Distances of spectra alone are met best by the middle of what could have sounded: right on average, and too still.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.spectral import log, magnitudes

SLOPE = 0.2
KERNEL, STRIDE = (9, 3), (2, 1)
"""Bins, then spectrum frames: octaves are gathered, time stays sharp (the shape is EnCodec's, arXiv 2210.13438)."""
CENTRE_NEPERS, SPREAD_NEPERS = -6.0, 2.0  # log magnitudes of music at full scale lie about here: inputs near unit size


@dataclass(frozen=True)
class SpectralJudgeConfig:
    """One stack of convolutions per window size. Raises LmdmError for sizes below 1."""

    windows_samples: tuple[int, ...] = (2048, 1024, 512)
    channels: int = 12
    layers: int = 4

    def __post_init__(self) -> None:
        if not self.windows_samples or min(*self.windows_samples, self.channels, self.layers) < 1:
            raise LmdmError(f"A discriminator needs windows, channels and layers of at least 1, got {self}.")


class SpectralJudge(nn.Module):
    """Stacks of 2-d convolutions on log magnitude spectrograms, one per window size."""

    def __init__(self, config: SpectralJudgeConfig) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(_stack(config) for _ in config.windows_samples)
        for index, size in enumerate(config.windows_samples):
            self.register_buffer(f"window_{index}", torch.hann_window(size), persistent=False)

    def forward(self, sound: Tensor) -> list[list[Tensor]]:
        """Per window size: the output of every layer for `b 1 s`; the last, `b 1 f n`, is the score, 1 for real."""
        return [self._judged(index, stack, sound[:, 0]) for index, stack in enumerate(self.stacks)]

    def _judged(self, index: int, stack: nn.Module, sound: Tensor) -> list[Tensor]:
        level = log(magnitudes(sound, getattr(self, f"window_{index}")))
        x, outputs = ((level - CENTRE_NEPERS) / SPREAD_NEPERS)[:, None], []
        for number, layer in enumerate(stack):
            x = layer(x if number == 0 else F.leaky_relu(x, SLOPE))
            outputs.append(x)
        return outputs


def _stack(config: SpectralJudgeConfig) -> nn.ModuleList:
    padding = tuple(size // 2 for size in KERNEL)
    widths = [1] + [config.channels] * config.layers
    layers = [nn.Conv2d(a, b, KERNEL, STRIDE, padding) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    return nn.ModuleList([*layers, nn.Conv2d(config.channels, 1, 3, 1, 1)])


def discrimination(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """What the discriminator minimises: real scores 1, made scores 0 (least squares, arXiv 1611.04076)."""
    pairs = zip(real, made, strict=True)
    return torch.stack([(1.0 - a[-1]).square().mean() + b[-1].square().mean() for a, b in pairs]).mean()


def deception(made: list[list[Tensor]]) -> Tensor:
    """What the decoder minimises: made scores 1."""
    return torch.stack([(1.0 - outputs[-1]).square().mean() for outputs in made]).mean()


def feature_distance(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """L1 distance of the layers' outputs, relative to the mean size of the real ones; those get no gradient."""
    terms = [
        F.l1_loss(b, a.detach()) / (a.detach().abs().mean() + 1e-4)
        for outputs in zip(real, made, strict=True)
        for a, b in zip(outputs[0][:-1], outputs[1][:-1], strict=True)
    ]
    return torch.stack(terms).mean()
