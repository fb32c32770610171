"""How much memory the student's side of an ARC step takes for each block that is rolled out.

    python -m lmdm_adapter.bench.arc_memory --shape sao-small --json arc-memory.json

A step is run as training runs it: the rollout without gradient, then the parallel forward over its recording and the
backward pass, with and without activation checkpointing. The growth for each block and sample is a line through the
peaks; weights, gradients and optimiser do not grow and are stated apart.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
    name: str, *, blocks: Sequence[int] = ROLLOUT_BLOCKS, rows: int = 1, steps: int = 2, without: bool = True
) -> ArcMemory:
    """Run a step for every rollout length; `without` also without checkpointing. Raises LmdmError for other shapes."""
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
    peaks = {
        checkpointed: tuple(_peak(dit, shape, count, rows=rows, steps=steps, checkpointed=checkpointed)
                            for count in blocks)
        for checkpointed in ((True, False) if without else (True,))
    }  # fmt: skip
    weights = sum(parameter.nbytes for parameter in dit.parameters())
    return ArcMemory(name, rows, tuple(blocks), peaks[True], peaks.get(False, ()), weights)


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


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; figures go to standard output, and to a file with `--json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", default="sao-small", help=f"one of {', '.join(SHAPES)}")
    parser.add_argument("--blocks", type=int, nargs="+", default=ROLLOUT_BLOCKS, help="rollout lengths")
    parser.add_argument("--rows", type=int, default=1, help="samples in the batch")
    parser.add_argument("--only-checkpointed", action="store_true", help="leave out the runs that keep everything")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args(arguments)
    try:
        memory = measure(given.shape, blocks=given.blocks, rows=given.rows, without=not given.only_checkpointed)
    except LmdmError as error:
        sys.exit(f"error: {error}")
    text = json.dumps(memory.to_json(), indent=2)
    if given.json is not None:
        given.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
