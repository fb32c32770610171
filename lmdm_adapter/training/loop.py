"""The one training loop: all recipes share it."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.ema import Average
from lmdm_adapter.training.files import replacing
from lmdm_adapter.training.journal import Journal

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)
Batch = tuple[Any, ...]
"""Arguments of the objective; tensors are moved to its device, the rest is handed on."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast: `steps` of AdamW, a linear warm-up, then half a cosine down to `final_share` of the rate.

    `precision` is "no" (fp32) or "bf16" autocast. A checkpoint is written every `checkpoint_minutes`, at the
    end, and on SIGTERM or Ctrl-C; a run whose folder holds one goes on from it, bit for bit as if never stopped.
    """

    steps: int = 1000
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    final_share: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    average_decay: float = 0.999
    precision: str = "no"
    checkpoint_minutes: float = 5.0
    log_every_steps: int = 20
    validate_every_steps: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise LmdmError(f"A training needs at least 1 step, got {self.steps}.")
        if self.precision not in ("no", "bf16"):
            raise LmdmError(f"Unknown precision {self.precision!r}; choose no or bf16.")
        if not self.learning_rate > 0.0:
            raise LmdmError(f"The learning rate must be positive, got {self.learning_rate}.")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        share = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
        return self.learning_rate * (self.final_share + (1.0 - self.final_share) * cosine)


@dataclass(frozen=True, eq=False)
class Trained:
    """How a run ended: steps done, whether that is all of them, and the averaged weights by parameter name."""

    step: int
    finished: bool
    average: dict[str, Tensor]


def require_accelerate() -> None:
    """Refuse to go on without accelerate. Recipes ask first, before they spend hours on songs."""
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise LmdmError("Training needs accelerate: pip install 'lmdm-adapter[train]'.") from error


def new_accelerator(config: LoopConfig) -> Accelerator:
    """An accelerator of the wanted precision. Raises LmdmError when accelerate is not installed."""
    require_accelerate()
    from accelerate import Accelerator

    return Accelerator(mixed_precision=config.precision, cpu=config.cpu or None)


def train(
    objective: nn.Module, batch: Callable[[int], Batch], *, config: LoopConfig, folder: Path, title: str,
    validate: Callable[[dict[str, Tensor], int], dict[str, float]] | None = None, stop_after: int | None = None,
) -> Trained:  # fmt: skip
    """Train the parameters of `objective` that require gradients, from the checkpoint in `folder` if there is one.

    `objective(*batch(step), step)` returns a dict of scalars with the key "loss". Both must depend on the step and
    the parameters alone: that makes resuming exact. Several processes train on different batches of one sequence.
    `validate` gets the averaged weights and the step. `stop_after` ends this call early, as SIGTERM does.
    """
    run = _Run(objective, config=config, folder=folder)
    with Journal(folder, title=title, steps=config.steps, shown=run.is_main) as journal, _stop_requests() as stopping:
        while run.step < config.steps:
            if stopping.is_set() or (stop_after is not None and run.step >= stop_after):
                break
            losses = run.advance(batch)
            if run.step % config.log_every_steps == 0 or run.step == config.steps:
                journal.write(run.step, {name: value.item() for name, value in losses.items()})
            if run.step % config.log_every_steps == 0:
                _refuse_nan(losses["loss"], run.step)
            if validate and config.validate_every_steps and run.step % config.validate_every_steps == 0:
                journal.write_measures(run.step, validate(run.average.tensors, run.step) if run.is_main else {})
            run.checkpoint_if_due()
        run.save()
    return Trained(step=run.step, finished=run.step >= config.steps, average=run.average.tensors)


class _Run:
    """Everything that changes while training: weights, optimiser, average, step."""

    def __init__(self, objective: nn.Module, *, config: LoopConfig, folder: Path) -> None:
        self.accelerator = new_accelerator(config)
        self.config, self.path = config, folder / "checkpoint.pt"
        trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        betas = (config.beta1, config.beta2)
        optimizer = torch.optim.AdamW(trained, lr=1.0, betas=betas, weight_decay=config.weight_decay)
        self.objective, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self.plain = self.accelerator.unwrap_model(self.objective)
        self.average = Average(self.plain, decay=config.average_decay)
        self.step = 0
        self.saved_seconds = time.monotonic()
        self._resume()

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    def advance(self, batch: Callable[[int], Batch]) -> dict[str, Tensor]:
        """One optimiser step; returns the losses, detached."""
        accelerator, config = self.accelerator, self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        index = self.step * accelerator.num_processes + accelerator.process_index
        parts = (part.to(accelerator.device) if isinstance(part, Tensor) else part for part in batch(index))
        losses = self.objective(*parts, index)
        accelerator.backward(losses["loss"])
        norm = accelerator.clip_grad_norm_(self.objective.parameters(), config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.average.update(self.plain, step=self.step)
        return {**{name: value.detach() for name, value in losses.items()}, "gradient_norm": torch.as_tensor(norm)}

    def checkpoint_if_due(self) -> None:
        if time.monotonic() - self.saved_seconds > 60.0 * self.config.checkpoint_minutes:
            self.save()

    def save(self) -> None:
        """Write everything needed to go on; no random state, because every draw is a function of the step."""
        self.saved_seconds = time.monotonic()
        if not self.is_main:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "objective": self.plain.state_dict(),
            "average": self.average.tensors,
            "optimizer": self.optimizer.state_dict(),
        }
        with replacing(self.path) as part:
            torch.save(state, part)

    def _resume(self) -> None:
        if not self.path.exists():
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            self.plain.load_state_dict(state["objective"])
            self.average.load(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            message = f"{self.path} does not fit this config: {str(error).splitlines()[0]} Use a new folder."
            raise LmdmError(message) from error
        self.step = state["step"]
        log.info("Going on from step %d of %s.", self.step, self.path)


def _refuse_nan(loss: Tensor, step: int) -> None:
    if not torch.isfinite(loss):
        raise LmdmError(
            f"The loss is {loss.item()} at step {step}; go on from the last checkpoint with a lower learning rate."
        )


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set, so that a run ends between two steps; the old handlers come back after."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield stopping
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
