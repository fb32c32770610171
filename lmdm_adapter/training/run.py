"""Everything that changes while training: weights, optimisers, average, step."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.ema import Average
from lmdm_adapter.training.files import replacing
from lmdm_adapter.training.loop_config import LoopConfig, OptimiserConfig
from lmdm_adapter.training.parts import (
    Alternating,
    new_optimizer,
    only_learning,
    parameters_of,
    parts_of,
    settings_of,
)
from lmdm_adapter.training.processes import is_sharded, new_accelerator
from lmdm_adapter.training.run_facts import facts_of, warn_of_changes
from lmdm_adapter.training.saved_run import read_run
from lmdm_adapter.training.sharding import cut_optimizer_state, load_weights, own_piece, whole
from lmdm_adapter.training.terms import Terms, means_of, with_terms

log = logging.getLogger(__name__)
Batch = tuple[Any, ...]
"""Arguments of the objective; tensors are moved to its device, the rest is handed on."""


class Run:
    """One training on all processes. Every method is called by all of them, in the same order."""

    def __init__(
        self, objective: nn.Module, *, config: LoopConfig, optimisers: Mapping[str, OptimiserConfig], folder: Path,
        recipe: object = None,
    ) -> None:  # fmt: skip
        parts = parts_of(objective)
        self.config, self.path, self.given = config, folder / "checkpoint.pt", objective
        self.settings = settings_of(parts, config, optimisers)
        self.alternating = isinstance(objective, Alternating)
        self.accelerator = new_accelerator(config, folder=folder, alternating=self.alternating)
        self.facts = facts_of(recipe, batches_per_step=config.accumulate * self.accelerator.num_processes)
        self.step, self.latest = 0, {}
        self._prepare(parts)
        self.finite = torch.ones((), dtype=torch.bool, device=self.accelerator.device)
        self._resume()
        self.saved_seconds = time.monotonic()

    def _prepare(self, parts: dict[str, list[nn.Parameter]]) -> None:
        """Hand weights and optimisers to accelerate.

        Sharding cuts the weights of a module in place; a copy is cut, so that the caller can go on measuring with his.
        """
        trained = self.given
        if is_sharded(self.accelerator):
            trained = copy.deepcopy(self.given)
            parts = parts_of(trained)
        first = {id(parameter) for parameter in next(iter(parts.values()))}
        names = [name for name, parameter in trained.named_parameters() if id(parameter) in first]
        optimizers = [new_optimizer(part, self.settings[name]) for name, part in parts.items()]
        self.objective, *prepared = self.accelerator.prepare(trained, *optimizers)
        self.optimizers = dict(zip(parts, prepared, strict=True))
        self.plain = self.accelerator.unwrap_model(self.objective)
        self.average = Average(self.plain, decay=self.config.average_decay, names=names)

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    def advance(self, batch: Callable[[int], Batch]) -> None:
        """One optimiser step of the part whose turn it is; its losses are kept for the next report."""
        name = self.plain.part(self.step) if self.alternating else next(iter(self.optimizers))
        optimizer, settings = self.optimizers[name], self.settings[name]
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(self.step, steps=self.config.steps)
        with only_learning(self.optimizers, name):
            terms = self._accumulate(batch, name)
            self.accelerator.unscale_gradients(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(parameters_of(optimizer), settings.clip_norm)
            optimizer.step()
        for each in self.optimizers.values():
            each.zero_grad(set_to_none=True)
        self.step += 1
        if name == next(iter(self.optimizers)) and not optimizer.step_was_skipped:
            self.average.update(self.plain, step=self.step)
        terms = with_terms(terms, {"gradient_norm": whole(norm)})
        if not optimizer.step_was_skipped:
            self.finite &= terms["loss"][0].isfinite() & terms["gradient_norm"][0].isfinite()
        self._keep(name, terms)

    def _accumulate(self, batch: Callable[[int], Batch], name: str) -> Terms:
        """Gradients, averaged over the batches of a step, and the terms of their losses.

        Batches are numbered through all steps and processes, so that two processes train on what one process with
        twice as many batches per step trains on.
        """
        config, accelerator = self.config, self.accelerator
        terms: Terms = {}
        for number in range(config.accumulate):
            index = (self.step * config.accumulate + number) * accelerator.num_processes + accelerator.process_index
            told = (index, name) if self.alternating else (index,)
            with accelerator.accumulate(self.objective):
                losses = self.objective(*self._on_device(batch(index)), *told)
                accelerator.backward(losses["loss"])
            terms = with_terms(terms, losses)
        return terms

    def _on_device(self, batch: Batch) -> Batch:
        return tuple(part.to(self.accelerator.device) if isinstance(part, Tensor) else part for part in batch)

    def _keep(self, name: str, terms: Terms) -> None:
        """Terms of the part's newest step, in the place of all that it had before."""
        prefix = f"{name}/" if self.alternating else ""
        others = {key: term for key, term in self.latest.items() if not key.startswith(prefix)}
        self.latest = others | {f"{prefix}{key}": term for key, term in terms.items()}

    def report(self) -> dict[str, float]:
        """The newest losses of every part, averaged over the batches and processes that had them.

        Raises LmdmError for a loss that is no number.
        """
        report = means_of(self.latest, self.accelerator)
        for name, value in report.items():
            if name.rpartition("/")[2] == "loss" and not math.isfinite(value):
                raise LmdmError(f"The {name} is {value} at step {self.step}; {self._cure()}")
        return report

    def _cure(self) -> str:
        start = "go on from the last checkpoint" if self.path.exists() else "begin again"
        return f"{start} with a lower learning rate."

    def require_finite(self) -> None:
        """Refuse weights that must not be kept. Raises LmdmError, on all processes, where a step since the start or the
        resumption had a loss or a gradient that was no finite number, or a weight is none now.

        Steps that fp16 left out because they overflowed do no harm.
        """
        learnt = [weight for optimizer in self.optimizers.values() for weight in parameters_of(optimizer)]
        sound = bool(self.finite) and all(
            bool(own_piece(value).isfinite().all()) for value in (*learnt, *self.average.tensors.values())
        )
        unsound = self.accelerator.reduce(torch.tensor(float(not sound), device=self.accelerator.device), "sum")
        if unsound.item():
            raise LmdmError(
                f"At step {self.step} a loss, a gradient or a weight is no finite number, so nothing was saved; "
                f"{self._cure()}"
            )

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name, whole on every process. Raises LmdmError for those that must not be kept."""
        self.require_finite()
        return whole(self.average.tensors)

    def agreed(self, stop: bool) -> tuple[bool, bool]:
        """Whether to stop, because any process was asked to, and whether the first one finds a checkpoint due.

        Processes hear signals and read clocks at different times; they must leave the loop at the same step.
        """
        due = self.is_main and time.monotonic() - self.saved_seconds > 60.0 * self.config.checkpoint_minutes
        if self.accelerator.num_processes == 1:
            return stop, due
        flags = torch.tensor([float(stop), float(due)], device=self.accelerator.device)
        stopped, needed = self.accelerator.reduce(flags, reduction="sum").tolist()
        return stopped > 0.0, needed > 0.0

    def save(self) -> None:
        """Write everything needed to go on; no random state, because every draw is a function of the step.

        Raises LmdmError for weights that must not be kept; the checkpoint before stays.
        """
        average = self.averaged()
        self.saved_seconds = time.monotonic()
        state: dict[str, Any] = {
            "step": self.step,
            "objective": whole(self.plain.state_dict()),
            "average": average,
            "optimizers": {name: whole(optimizer.state_dict()) for name, optimizer in self.optimizers.items()},
            "facts": self.facts,
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
        }
        if self.is_main:
            with replacing(self.path) as part:
                torch.save(state, part)

    def _resume(self) -> None:
        self.accelerator.wait_for_everyone()
        if not self.path.exists():
            return
        state = read_run(self.path)
        try:
            self._load(state)
        except (KeyError, RuntimeError, ValueError) as error:
            message = f"{self.path} does not fit this config: {str(error).splitlines()[0]} Use a new folder."
            raise LmdmError(message) from error
        self.step = state["step"]
        log.info("Going on from step %d of %s.", self.step, self.path)
        if self.is_main and "facts" in state:
            warn_of_changes(state["facts"], self.facts)

    def _load(self, state: dict[str, Any]) -> None:
        load_weights(self.plain, state["objective"])
        self.average.load(state["average"])
        if set(state["optimizers"]) != set(self.optimizers):
            raise KeyError("the parts have other names.")
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(cut_optimizer_state(state["optimizers"][name], parameters_of(optimizer)))
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Give the caller's objective the trained weights, where a copy was trained."""
        if self.plain is not self.given:
            self.given.load_state_dict(whole(self.plain.state_dict()))
