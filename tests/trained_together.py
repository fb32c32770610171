"""Tiny trainings for tests with several processes: `python -m tests.trained_together FOLDER TRAINING ...`.

A training is the name of an objective, `line` or `game`, with `@3` to end its call after step 3, or `!` to ask one
process alone to end. Trainings of one name share a folder. With `sharded` first in the list weights are sharded.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lmdm_adapter.training.draws import normal, torch_draws
from lmdm_adapter.training.loop import Batch, LoopConfig, OptimiserConfig, Trained, train
from lmdm_adapter.training.processes import end_program

CONFIG = LoopConfig(
    steps=6, learning_rate=1e-2, warmup_steps=2, average_decay=0.9, log_every_steps=2, clip_norm=0.5, cpu=True
)
JUDGE = OptimiserConfig(learning_rate=3e-2, warmup_steps=0, beta1=0.5, weight_decay=0.1, clip_norm=0.1)


class Line(nn.Module):
    """Fits a line to points that are drawn per batch; every other batch has a term more, before the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x: Tensor, index: int) -> dict[str, Tensor]:
        noise = normal(x.shape, seed=5, step=index, purpose="noise", device=x.device)
        loss = (self.layer(x + 0.1 * noise) - x.sum(1, keepdim=True)).square().mean()
        return {**({"rare": x.mean()} if index % 2 else {}), "loss": loss, "size": x.square().mean()}


class Game(nn.Module):
    """A line that must please a judge, who learns to tell its points from true ones: they take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.judge, self.frozen = nn.Linear(2, 5), nn.Linear(2, 2).requires_grad_(False)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        return {"line": list(self.line.parameters()), "judge": list(self.judge.parameters())}

    def part(self, step: int) -> str:
        return "judge" if step % 2 else "line"

    def forward(self, x: Tensor, index: int, part: str) -> dict[str, Tensor]:
        made, real = self.frozen(self.line(x)), self.frozen(x[:, :2])
        difference = self.judge(real).mean() - self.judge(made).mean()
        return {"loss": difference if part == "line" else -difference + self.judge(real).square().mean()}


def points(index: int) -> tuple[Tensor]:
    return (torch.randn(4, 3, generator=torch_draws(0, index, "points")),)


def stopping_points(index: int) -> tuple[Tensor]:
    """Points; in its third step the second process alone is asked to end."""
    if index == 5:
        os.kill(os.getpid(), signal.SIGTERM)
    return points(index)


def new(name: str) -> nn.Module:
    """A fresh `line` or `game`, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {"line": Line, "game": Game}[name]()


def fit(
    name: str, folder: Path, *, batch: Callable[[int], Batch] = points, stop_after: int | None = None, **loop: object
) -> tuple[Trained, nn.Module]:
    """Train a fresh objective in a folder; `loop` changes the config."""
    objective, optimisers = new(name), {"judge": JUDGE} if name == "game" else {}
    trained = train(
        objective, batch, config=replace(CONFIG, **loop), folder=folder, title=name, optimisers=optimisers,
        stop_after=stop_after,
    )  # fmt: skip
    return trained, objective


def shard_on_the_cpu() -> None:
    """Let accelerate shard weights with FSDP 2, which it does by itself on GPUs only."""
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    from lmdm_adapter.training import run

    plain = run.new_accelerator

    def sharding(*arguments: object, **settings: object) -> object:
        accelerator = plain(*arguments, **settings)
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, cpu_ram_efficient_loading=False, auto_wrap_policy="no_wrap"
        )
        return accelerator

    run.new_accelerator = sharding


def main(folder: str, *trainings: str) -> None:
    if trainings[0] == "sharded":
        shard_on_the_cpu()
    for training in trainings[trainings[0] == "sharded" :]:
        name, _, steps = training.rstrip("!").partition("@")
        own = Path(folder) / training.partition("@")[0]
        batch = stopping_points if training.endswith("!") else points
        trained, objective = fit(name, own, batch=batch, stop_after=int(steps) if steps else None)
        kept = {"step": trained.step, "weights": objective.state_dict(), "average": trained.average}
        torch.save(kept, own / f"process-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_program()
