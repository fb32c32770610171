"""The one training loop: all recipes share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from lmdm_adapter.audio import Audio
from lmdm_adapter.training.journal import Journal
from lmdm_adapter.training.loop_config import LoopConfig, OptimiserConfig
from lmdm_adapter.training.processes import require_accelerate
from lmdm_adapter.training.run import Batch, Run
from lmdm_adapter.training.stopping import stop_requests
from lmdm_adapter.training.trackers import Trackers

__all__ = ["Batch", "LoopConfig", "OptimiserConfig", "Trained", "require_accelerate", "train"]
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Trained:
    """How a run ended: steps done, whether that is all of them, and the averaged weights by parameter name.

    `is_main` says whether this process is the one that writes results.
    """

    step: int
    finished: bool
    average: Weights
    is_main: bool = True


def train(
    objective: nn.Module, batch: Callable[[int], Batch], *, config: LoopConfig, folder: Path, title: str,
    validate: Callable[[Weights, int], dict[str, float]] | None = None,
    sample: Callable[[Weights, int], Audio] | None = None,
    optimisers: Mapping[str, OptimiserConfig] | None = None, stop_after: int | None = None, recipe: object = None,
) -> Trained:  # fmt: skip
    """Train the parameters of `objective` that require gradients, from the checkpoint in `folder` if there is one.

    `objective(*batch(index), index)` returns a dict of scalars with the key "loss"; `index` counts batches over all
    steps and processes. Both must depend on the index and the parameters alone: that makes resuming exact, and two
    processes equal to one that accumulates. Parts of an objective may take turns (`parts.Alternating`), each with its
    own of `optimisers`. On the first process `validate` and `sample` get the averaged weights and the step; sounds go
    to `samples` in the folder. `stop_after` ends this call early, as SIGTERM does. `recipe` is the dataclass
    that the batches come from: where it says something else than the run in the folder began with, a warning names it.
    Raises LmdmError for a checkpoint that is damaged or does not fit, and where a loss or a weight is no finite number.
    """
    run = Run(objective, config=config, optimisers=optimisers or {}, folder=folder, recipe=recipe)
    trackers = Trackers(run.accelerator, title=title)
    with (
        Journal(
            folder, title=title, steps=config.steps, done=run.step, shown=run.is_main, trackers=trackers
        ) as journal,
        stop_requests() as stopping,
    ):
        while run.step < config.steps:
            stop, due = run.agreed(stopping.is_set() or (stop_after is not None and run.step >= stop_after))
            if stop:
                break
            if due:
                run.save()
            run.advance(batch)
            if _every(config.log_every_steps, run.step) or run.step == config.steps:
                journal.write(run.step, run.report())
            if validate and _every(config.validate_every_steps, run.step):
                average = run.averaged()
                journal.write_measures(run.step, validate(average, run.step) if run.is_main else {})
            if sample and _every(config.sample_every_steps, run.step):
                average = run.averaged()
                if run.is_main:
                    journal.write_sample(run.step, sample(average, run.step))
        run.save()
    run.close()
    return Trained(run.step, finished=run.step >= config.steps, average=run.averaged(), is_main=run.is_main)


def _every(steps: int, step: int) -> bool:
    return steps > 0 and step % steps == 0
