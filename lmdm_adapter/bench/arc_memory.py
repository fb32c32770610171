"""How much memory the student's side of an ARC step takes for each block that is rolled out.

A step is run as training runs it: the rollout without gradient, then the parallel forward over its recording and the
backward pass, with and without activation checkpointing. The growth for each block and sample is a line through the
peaks; weights, gradients and optimiser do not grow and are stated apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmdm_adapter.bench.live_memory import peak_bytes
from lmdm_adapter.bench.shapes import SHAPES, Shape
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.spec import Sampling
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.rollout_recording import recorded_rollout, replayed

MIB = 1024.0 * 1024.0
ROLLOUT_BLOCKS = (2, 6, 12)
ADAMW_STATES = 2
SEED = 0


@dataclass(frozen=True)
class ArcMemory:
    """Peaks in bytes by rollout length, with checkpointing and without; growth per block and sample in MiB."""

    shape: str
    rows: int
    blocks: tuple[int, ...]
    checkpointed_bytes: tuple[int, ...]
    kept_bytes: tuple[int, ...]
    weights_bytes: int

    def to_json(self) -> dict[str, Any]:
        """All figures as one JSON object."""
        peaks = {"checkpointed": self.checkpointed_bytes, "kept": self.kept_bytes}
        return {
            "shape": self.shape, "rows": self.rows, "blocks": list(self.blocks),
            "peak_mib": {name: [round(one / MIB, 1) for one in sizes] for name, sizes in peaks.items()},
            "mib_per_block_and_sample": {
                name: growth_mib(self.blocks, sizes) / self.rows for name, sizes in peaks.items() if sizes
            },
            "weights_mib": self.weights_bytes / MIB, "gradients_mib": self.weights_bytes / MIB,
            "adamw_mib": ADAMW_STATES * self.weights_bytes / MIB,
        }  # fmt: skip


def growth_mib(blocks: Sequence[int], sizes_bytes: Sequence[int]) -> float:
    """Slope of the peaks over the blocks, in MiB."""
    return float(np.polyfit(blocks, np.array(sizes_bytes) / MIB, 1)[0])


def measure(
    name: str, *, blocks: Sequence[int] = ROLLOUT_BLOCKS, rows: int = 1, steps: int = 2, without: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ArcMemory:  # fmt: skip
    """Run a step for every rollout length, checkpointed and, unless `without` is False, keeping everything.

    `progress` hears the steps done and their number. Raises LmdmError for an unknown shape or too few lengths.
    """
    if name not in SHAPES:
        raise LmdmError(f"Unknown shape {name!r}; choose one of {', '.join(SHAPES)}.")
    if len(set(blocks)) < 2 or min(*blocks, rows) < 1:
        raise LmdmError("A slope needs at least two rollout lengths of at least 1 block, and at least 1 row.")
    shape = SHAPES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        dit = DiT(shape.network.dit)
    for parameter in dit.parameters():  # there before the step, as in a run that goes on
        parameter.grad = torch.zeros_like(parameter)
    kinds, peaks = (True, False) if without else (True,), dict[bool, list[int]]()
    for checkpointed in kinds:
        peaks[checkpointed] = []
        for count in blocks:
            peaks[checkpointed].append(_peak(dit, shape, count, rows=rows, steps=steps, checkpointed=checkpointed))
            progress(sum(map(len, peaks.values())), len(kinds) * len(blocks))
    weights = sum(parameter.nbytes for parameter in dit.parameters())
    return ArcMemory(name, rows, tuple(blocks), tuple(peaks[True]), tuple(peaks.get(False, ())), weights)


def _peak(dit: DiT, shape: Shape, blocks: int, *, rows: int, steps: int, checkpointed: bool) -> int:
    draws = torch.Generator().manual_seed(SEED)
    told = Conditioning(
        torch.randn(rows, shape.prompt_tokens, shape.dit.cond_token_dim, generator=draws),
        global_cond=torch.randn(rows, shape.dit.global_cond_dim, generator=draws),
    )
    context = torch.randn(rows, shape.dit.io_channels, shape.spec.context_frames, generator=draws)

    def step() -> None:
        recording = recorded_rollout(
            dit, context, told, spec=shape.spec, sampling=Sampling(steps), seeds=range(rows),
            lengths_frames=[shape.spec.block_frames] * blocks, exit_steps=[steps] * blocks,
        )  # fmt: skip
        replayed(dit, recording, told, spec=shape.spec, checkpointed=checkpointed).square().mean().backward()

    return peak_bytes(step)
