"""Loss on held-out songs: the same draws every time, so that two measurements differ by the weights alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

HELD_OUT_STEPS = range(4)


@torch.no_grad()
def held_out_loss(
    objective: nn.Module, average: dict[str, Tensor], batch: Callable[[int], tuple[Any, ...]]
) -> dict[str, float]:
    """Mean loss of an objective with averaged weights over four fixed batches."""
    device = next(objective.parameters()).device
    losses = []
    for step in HELD_OUT_STEPS:
        parts = tuple(part.to(device) if isinstance(part, Tensor) else part for part in batch(step))
        losses.append(torch.func.functional_call(objective, average, (*parts, step))["loss"].item())
    return {"loss": sum(losses) / len(losses)}
