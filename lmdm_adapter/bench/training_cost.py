"""What a step of each recipe takes at the size of a published checkpoint: seconds, and memory at its most.

The recipes run as they ship, on weights and latents that are drawn, a few steps each; the figures are those of their
own log. Each runs in a process of its own, as the most memory that it ever took is told of a whole process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from lmdm_adapter.bench.drawn_model import write_drawn_latents, write_drawn_model, write_student
from lmdm_adapter.bench.shapes import SHAPES
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.recipes.base import BaseRecipe
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.training.configs import SHIPPED, read_config
from lmdm_adapter.training.data import HostData
from lmdm_adapter.training.journal import read_log

Recipe = FinetuneRecipe | BaseRecipe | ArcForcingRecipe
Result = TypeVar("Result")
RECIPES: Mapping[str, tuple[type[Recipe], str]] = {
    "finetune": (FinetuneRecipe, "finetune-small-48x4.json"),
    "base": (BaseRecipe, "base-small-long.json"),
    "arc_forcing": (ArcForcingRecipe, "arc-forcing-small-48x4.json"),
}
LATENT_FRAMES, MIB = 800, 2.0**20
SELDOM_MINUTES = 1e6


@dataclass(frozen=True)
class TrainingPlan:
    """What is run: `rows` are the batch of a step, which accumulates no more; the first of `steps` warms up.

    `device` is "cpu", or whatever accelerate finds.

    Raises LmdmError for an unknown shape or recipe, and too few of anything.
    """

    shape: str = "sao-small"
    recipes: tuple[str, ...] = tuple(RECIPES)
    rows: int = 1
    steps: int = 4
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise LmdmError(f"Unknown shape {self.shape!r}; choose one of {', '.join(SHAPES)}.")
        unknown = [name for name in self.recipes if name not in RECIPES]
        if unknown or not self.recipes:
            raise LmdmError(f"Unknown recipes {unknown}; choose among {', '.join(RECIPES)}.")
        if self.rows < 1 or self.steps < 2:
            raise LmdmError(f"At least 1 row and 2 steps are needed, got {self.rows} and {self.steps}.")


@dataclass(frozen=True)
class RecipeCost:
    """Seconds of every step in turn, the one that warms up first; and the most memory in MiB, where it is told."""

    config: str
    seconds: tuple[float, ...]
    peak_memory_mib: float | None

    def to_json(self) -> dict[str, Any]:
        """All figures as one JSON object."""
        kept = self.seconds[1:]
        steps = {"median": float(np.median(kept)), "least": min(kept), "most": max(kept)}
        return {**asdict(self), "seconds_after_the_first": steps}


def measure(
    plan: TrainingPlan, folder: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Run the recipes of the plan in an empty `folder`; what one of them wrote is gone before the next one runs.

    Returns the settings and the costs by recipe as one JSON object. Raises LmdmError where a process did not survive.
    """
    apart(_prepare, plan, folder)
    costs = {}
    for done, name in enumerate(plan.recipes):
        progress(done, len(plan.recipes))
        records = apart(_trained, name, plan, folder)
        shutil.rmtree(folder / name)
        seconds = tuple(record["seconds_per_step"] for record in records)
        costs[name] = RecipeCost(RECIPES[name][1], seconds, records[-1].get("peak_memory_mib")).to_json()
    progress(len(plan.recipes), len(plan.recipes))
    settings = {"shape": plan.shape, "rows": plan.rows, "device": plan.device}
    machine = {"threads": plan.threads or torch.get_num_threads(), "torch": torch.__version__}
    return {**settings, **machine, "recipes": costs}


def config_of(name: str, plan: TrainingPlan, folder: Path) -> Recipe:
    """A recipe's shipped config, with the plan's rows, drawn music, a report after every step and no validation.

    The discriminator's steps alone are left out, so that student and discriminator take turns from the first step on.
    """
    cls, file = RECIPES[name]
    shipped = read_config(cls, SHIPPED / file)
    loop = replace(
        shipped.loop, accumulate=1, log_every_steps=1, validate_every_steps=0, checkpoint_minutes=SELDOM_MINUTES,
        cpu=plan.device == "cpu",
    )  # fmt: skip
    data = HostData(str(folder / "latents" / "dataset.json"))
    config = replace(shipped, output=str(folder / name), data=data, batch_size=plan.rows, loop=loop)
    model = str(folder / "model")
    if isinstance(config, BaseRecipe):
        return replace(config, start=model)
    if isinstance(config, FinetuneRecipe):
        return replace(config, base=model)
    return replace(config, base=model, student=str(folder / "student"), arc=replace(config.arc, judge_first_steps=0))


def apart(call: Callable[..., Result], *arguments: object) -> Result:
    """What a call returns that runs in a process of its own. Raises what the call does, and LmdmError for its death."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(call, *arguments).result()
    except BrokenProcessPool as error:
        raise LmdmError("The process that trained was ended, most likely for its memory; give it more.") from error


def _prepare(plan: TrainingPlan, folder: Path) -> None:
    shape, finetune = SHAPES[plan.shape], read_config(FinetuneRecipe, SHIPPED / RECIPES["finetune"][1])
    write_drawn_latents(folder / "latents", channels=shape.dit.io_channels, frames=LATENT_FRAMES)
    write_drawn_model(folder / "model", shape, window_frames=LATENT_FRAMES)
    write_student(folder / "student", folder / "model", finetune.spec)


def _trained(name: str, plan: TrainingPlan, folder: Path) -> Sequence[Mapping[str, float]]:
    """Run a recipe for the steps of the plan; what its log says of each."""
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)  # of this process, which ends with the recipe
    config = config_of(name, plan, folder)
    import_module(f"lmdm_adapter.recipes.{name}").run(config, stop_after=plan.steps)
    return read_log(Path(config.output))
