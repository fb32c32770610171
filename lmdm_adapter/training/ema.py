"""A moving average of weights: what a recipe saves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError


class Average:
    """Exponential moving average of the parameters of a module that require gradients, by name, in fp32.

    Early on the decay is `(1 + step) / (10 + step)`, so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise LmdmError(f"The decay of an average lies in [0, 1), got {decay}.")
        self.decay = decay
        self.tensors = {name: value.detach().float().clone() for name, value in _trained(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module, *, step: int) -> None:
        """Move the average towards the module's weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = [value.detach().float() for value in _trained(module).values()]
        torch._foreach_lerp_(list(self.tensors.values()), current, 1.0 - decay)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over a saved average. Raises KeyError for names that do not fit."""
        if set(tensors) != set(self.tensors):
            raise KeyError("the averaged weights have other names.")
        for name, value in tensors.items():
            self.tensors[name].copy_(value)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in module.named_parameters() if value.requires_grad}
