"""Parts of an objective that learn with optimisers of their own, taking turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.loop_config import LoopConfig, OptimiserConfig

WHOLE = "objective"
"""The one part of an objective that does not say that it has several."""


@runtime_checkable
class Alternating(Protocol):
    """An objective, also an `nn.Module`, whose parts take turns.

    Its `forward(*batch, index, part)` hears which part learns; the "loss" that it returns is differentiated for that
    part alone. Whatever else in the returned dict has a gradient must belong to that loss. The first part is the one
    that is averaged, because it is the one that will be used.
    """

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """All parameters that learn, by the name of their part."""
        ...

    def part(self, step: int) -> str:
        """The part that learns in a step."""
        ...


def parts_of(objective: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parts of an objective; all that requires a gradient is one part unless it says otherwise.

    Raises LmdmError when parts are empty, share parameters, or leave some out.
    """
    learning = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    parts = objective.parts() if isinstance(objective, Alternating) else {WHOLE: learning}
    listed = [id(parameter) for part in parts.values() for parameter in part]
    if not all(parts.values()):
        raise LmdmError(f"Every part of {type(objective).__name__} needs parameters that require gradients.")
    if len(set(listed)) < len(listed) or set(listed) != {id(parameter) for parameter in learning}:
        raise LmdmError(f"The parts of {type(objective).__name__} must share nothing and leave no learner out.")
    return parts


def settings_of(
    parts: Mapping[str, object], config: LoopConfig, optimisers: Mapping[str, OptimiserConfig]
) -> dict[str, OptimiserConfig]:
    """The optimiser of each part: its own, or the loop's. Raises LmdmError for an optimiser of no part."""
    strangers = set(optimisers) - set(parts)
    if strangers:
        raise LmdmError(f"There is no part {min(strangers)!r} to optimise; the parts are {', '.join(parts)}.")
    return {name: optimisers.get(name, config) for name in parts}


def new_optimizer(part: list[nn.Parameter], settings: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW of a part; the loop sets its learning rate before every step."""
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(part, lr=1.0, betas=betas, weight_decay=settings.weight_decay)


@contextmanager
def only_learning(optimizers: Mapping[str, torch.optim.Optimizer], name: str) -> Iterator[None]:
    """Within the body the parameters of the other parts require no gradient; gradients still pass through them."""
    others = [
        parameter for other, optimizer in optimizers.items() if other != name for parameter in parameters_of(optimizer)
    ]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Everything that an optimizer steps."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
