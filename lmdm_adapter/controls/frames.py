"""What a player gives frame by frame, checked and packed as a model takes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.controls.declared import FrameControls, stands_for
from lmdm_adapter.errors import LmdmError

GivenControls = Mapping[str, Tensor | np.ndarray]
"""Frame controls of one block by name, each `(channels, frames)`."""

ControlSource = Callable[[int, int], GivenControls | None]
"""`source(first_frame, frames)`: the frame controls of the block that begins at `first_frame` of the stream."""


@dataclass(frozen=True)
class Gains:
    """How much of each frame control enters the model: 1 as it was trained, 0 as if it were not there.

    `values` are (name, gain) pairs. A name stands for the control of that name and for those that begin with it and an
    underscore; gains of a group and of one control in it are multiplied, and what is not named has gain 1.
    Raises LmdmError for a gain that is negative or not finite.
    """

    values: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for pair in self.values:
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not _is_gain(pair[1]):
                raise LmdmError(f"Gains are pairs of a name and a finite number of at least 0, got {pair!r}.")

    def of(self, name: str) -> float:
        """The gain of one control."""
        return math.prod(gain for group, gain in self.values if stands_for(group, name))


UNITY = Gains()


def packed_controls(
    given: GivenControls | None, declared: FrameControls, *, rows: int, frames: int, gains: Gains = UNITY,
    device: torch.device | None = None,
) -> Tensor | None:  # fmt: skip
    """The controls of a block as `b e n` in the declared order; what is not given is zeros, which is "not there".

    None and an empty mapping give None. All rows get the same. Raises LmdmError for a control that the model does not
    have, one of another shape than `(channels, frames)`, and values that are no finite numbers.
    """
    for name in given or ():
        if name not in dict(declared):
            _refuse_unknown(name, declared)
    for group, _ in gains.values:
        if not any(stands_for(group, name) for name, _ in declared):
            _refuse_unknown(group, declared)
    if not given:
        return None
    parts = [
        _scaled(_checked(name, given[name], (channels, frames)), gains.of(name))
        if name in given
        else torch.zeros(channels, max(frames, 0))
        for name, channels in declared
    ]
    return torch.cat(parts).to(device).expand(rows, -1, -1).contiguous()


def _checked(name: str, values: Tensor | np.ndarray, shape: tuple[int, int]) -> Tensor:
    try:
        tensor = torch.as_tensor(values).detach().to(device="cpu", dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(values).__name__
        raise LmdmError(f"The frame control {name!r} must be an array of numbers, got {kind}.") from error
    if tuple(tensor.shape) != shape:
        raise LmdmError(
            f"The frame control {name!r} must have shape (channels, frames) = {shape} for this block, "
            f"got {tuple(tensor.shape)}."
        )
    if not torch.isfinite(tensor).all():
        raise LmdmError(f"The frame control {name!r} holds NaN or infinity; give finite numbers, or leave it out.")
    return tensor


def _scaled(values: Tensor, gain: float) -> Tensor:
    return torch.zeros_like(values) if gain == 0.0 else values * gain


def _refuse_unknown(name: str, declared: FrameControls) -> None:
    listed = ", ".join(own for own, _ in declared) or "none besides its context"
    raise LmdmError(
        f"This model has no frame control {name!r}; it has {listed}. Take a model that was trained with it, or add it "
        f"with lmdm_adapter.with_controls and train it: lmdm train finetune --controls {name}."
    )


def _is_gain(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
