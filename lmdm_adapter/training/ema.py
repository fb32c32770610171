"""A moving average of weights: what a recipe saves."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.sharding import cut_like


class Average:
    """Exponential moving average of named parameters of a module, in fp32; of all that require gradients by default.

    Early on the decay is `(1 + step) / (10 + step)`, so that the random start is soon forgotten. A decay of 0 averages
    nothing: `tensors` are the weights themselves, and cost no memory.
    """

    def __init__(self, module: nn.Module, *, decay: float, names: Collection[str] | None = None) -> None:
        if not 0.0 <= decay < 1.0:
            raise LmdmError(f"The decay of an average lies in [0, 1), got {decay}.")
        self.decay = decay
        wanted = {name for name, value in module.named_parameters() if value.requires_grad} if names is None else names
        weights = {name: value.detach() for name, value in module.named_parameters() if name in wanted}
        self.tensors = {name: value.float().clone() for name, value in weights.items()} if decay else weights

    @torch.no_grad()
    def update(self, module: nn.Module, *, step: int) -> None:
        """Move the average towards the module's weights after `step` steps."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(module.named_parameters())
        current = [parameters[name].detach().float() for name in self.tensors]
        torch._foreach_lerp_(list(self.tensors.values()), current, 1.0 - decay)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over a saved average. Raises KeyError for names that do not fit."""
        if set(tensors) != set(self.tensors):
            raise KeyError("the averaged weights have other names.")
        for name, value in tensors.items():
            self.tensors[name].copy_(cut_like(value, self.tensors[name]))
