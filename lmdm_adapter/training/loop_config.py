"""How a training runs: lengths, rates and what happens every so many steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lmdm_adapter.errors import LmdmError

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW for one part of an objective: a linear warm-up, then half a cosine down to `final_share` of the rate.

    `warmup_steps` counts steps of the loop, also those in which another part learns. Raises LmdmError for a value
    that no optimiser can use.
    """

    learning_rate: float = 1e-3
    warmup_steps: int = 100
    final_share: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        _require(self, ("learning_rate", "clip_norm"), lambda value: 0.0 < value < math.inf, "a positive number")
        _require(self, ("warmup_steps",), lambda value: value >= 0, "at least 0")
        _require(self, ("weight_decay",), lambda value: 0.0 <= value < math.inf, "at least 0")
        _require(self, ("beta1", "beta2"), lambda value: 0.0 <= value < 1.0, "in [0, 1)")
        _require(self, ("final_share",), lambda value: 0.0 <= value <= 1.0, "in [0, 1]")

    def rate_at(self, step: int, *, steps: int) -> float:
        """The learning rate of a step, counted from 0, in a run of `steps`."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        share = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
        return self.learning_rate * (self.final_share + (1.0 - self.final_share) * cosine)


@dataclass(frozen=True)
class LoopConfig(OptimiserConfig):
    """The whole loop, and the optimiser of every part that is given none of its own.

    A step averages the gradients of `accumulate` batches on every process. `precision` is "no" (fp32), "bf16" or
    "fp16" autocast; fp16 scales the loss, needs a GPU, and leaves out steps that overflow. A checkpoint is written
    every `checkpoint_minutes`, at the end, and on SIGTERM or Ctrl-C; a run whose folder holds one goes on from it, bit
    for bit as if never stopped. Losses are reported every `log_every_steps`; 0 switches the other `..._every_steps`
    off. What is saved are averaged weights, or the last ones with `average_decay` 0. `trackers` are names that
    accelerate knows, such as "tensorboard"; they write to the folder `trackers`.
    Raises LmdmError for a value that no loop can use.
    """

    steps: int = 1000
    accumulate: int = 1
    average_decay: float = 0.999
    precision: str = "no"
    checkpoint_minutes: float = 5.0
    log_every_steps: int = 20
    validate_every_steps: int = 0
    sample_every_steps: int = 0
    trackers: tuple[str, ...] = ()
    cpu: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, ("steps", "accumulate", "log_every_steps"), lambda value: value >= 1, "at least 1")
        _require(self, ("validate_every_steps", "sample_every_steps"), lambda value: value >= 0, "at least 0")
        _require(self, ("checkpoint_minutes",), lambda value: value >= 0.0, "at least 0")
        _require(self, ("average_decay",), lambda value: 0.0 <= value < 1.0, "in [0, 1)")
        _require(self, ("precision",), lambda value: value in PRECISIONS, "no, bf16 or fp16")
        _require(self, ("trackers",), lambda names: len(set(names)) == len(names), "different names")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate_at(step, steps=self.steps)


def _require(config: object, names: tuple[str, ...], holds: Callable[..., bool], wanted: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not holds(value):
            raise LmdmError(f"{type(config).__name__}.{name} must be {wanted}, got {value!r}.")
