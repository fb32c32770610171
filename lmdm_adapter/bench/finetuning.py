"""Fine-tuning timed: every block of long sequences at once, against one target block per window of context.

Both are timed in turn, in one run and at the same batch memory: what a forward pass keeps for the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.bench.run import BenchPlan, Progress, clock_of
from lmdm_adapter.bench.shapes import SHAPES, Shape
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.samplers import noise
from lmdm_adapter.spec import BlockSpec

SEED = 0
T = 0.5


@dataclass(frozen=True)
class FinetuningPlan:
    """What is timed. Lengths of None are those that the shape is played in; sequences last twice the context then.

    `rows` is the batch of sequences; that of windows follows from its memory. `precision` is "no" (fp32) or "bf16"
    autocast. Raises LmdmError for an unknown shape or precision, a context of no whole blocks, or too few of anything.
    """

    shape: str = "sao-small"
    block_frames: int | None = None
    context_frames: int | None = None
    blocks: int | None = None
    rows: int = 1
    pairs: int = 5
    precision: str = "no"

    def __post_init__(self) -> None:
        if self.precision not in ("no", "bf16"):
            raise LmdmError(f"Unknown precision {self.precision!r}; choose no or bf16.")
        if min(self.rows, self.sequence_blocks) < 1 or self.pairs < 2:
            raise LmdmError(
                f"At least 1 row of 1 block and 2 pairs are needed, got rows {self.rows}, blocks "
                f"{self.sequence_blocks} and pairs {self.pairs}."
            )

    @property
    def spec(self) -> BlockSpec:
        """Blocks and context."""
        return BenchPlan(
            self.shape, against=(), block_frames=self.block_frames, context_frames=self.context_frames
        ).specs[0]

    @property
    def sequence_blocks(self) -> int:
        """Blocks of a sequence."""
        return 2 * self.spec.context_blocks if self.blocks is None else self.blocks


@dataclass(frozen=True)
class RecipeFigures:
    """One recipe: its batch, the bytes it keeps for the backward pass, and seconds of forward and backward pass."""

    rows: int
    target_frames: int
    tokens: int
    saved_bytes: int
    seconds: tuple[float, ...]

    @property
    def target_frames_per_second(self) -> float:
        """Frames in the loss, per second of a median step."""
        return self.target_frames / float(np.median(self.seconds))


@dataclass(frozen=True)
class FinetuningReport:
    """Both recipes. `bound` is how many times more tokens per target frame the one-target recipe sends through."""

    settings: dict[str, Any]
    every_block: RecipeFigures
    one_block: RecipeFigures
    bound: float

    @property
    def ratios(self) -> list[float]:
        """How many times more target frames per second every-block training does, pair by pair."""
        frames = self.every_block.target_frames / self.one_block.target_frames
        pairs = zip(self.every_block.seconds, self.one_block.seconds, strict=True)
        return [frames * one / every for every, one in pairs]

    def to_json(self) -> dict[str, Any]:
        """All figures as one JSON object."""
        ratios = self.ratios
        recipes = {
            name: {**asdict(figures), "target_frames_per_second": figures.target_frames_per_second}
            for name, figures in (("every_block", self.every_block), ("one_block", self.one_block))
        }
        spread = {"median": float(np.median(ratios)), "least": min(ratios), "most": max(ratios), "bound": self.bound}
        return {**self.settings, **recipes, "times_more_target_frames_per_second": spread}


def bench_finetuning(
    plan: FinetuningPlan, *, device: torch.device | str = "cpu", progress: Progress = lambda done, total: None
) -> FinetuningReport:
    """Time `plan.pairs` pairs of steps; one pair more warms up. A step is forward and backward pass, no optimiser."""
    place, spec, blocks = torch.device(device), plan.spec, plan.sequence_blocks
    bench = _Bench(SHAPES[plan.shape], spec, place, precision=plan.precision)
    every = bench.saved_bytes(lambda: bench.every_block(plan.rows, blocks))
    rows = _rows_that_keep(every, bench)
    steps = (lambda: bench.every_block(plan.rows, blocks), lambda: bench.one_block(rows))
    seconds = _alternating(bench, steps, plan.pairs, progress)
    frames, context = spec.block_frames, spec.context_frames
    return FinetuningReport(
        _settings(plan, place),
        RecipeFigures(plan.rows, plan.rows * blocks * frames, plan.rows * blocks * (2 * frames + 1), every, seconds[0]),
        RecipeFigures(rows, rows * frames, rows * (context + frames + 1), bench.saved_bytes(steps[1]), seconds[1]),
        bound=(context + frames + 1) / (2 * frames + 1),
    )


def _rows_that_keep(wanted: int, bench: _Bench) -> int:
    """The smallest batch of windows that keeps at least `wanted` bytes: what one row adds is the same for all."""
    one, two = (bench.saved_bytes(partial(bench.one_block, rows)) for rows in (1, 2))
    return max(1, 1 + math.ceil((wanted - one) / (two - one)))


def _alternating(
    bench: _Bench, steps: tuple[Callable[[], Tensor], ...], pairs: int, progress: Progress
) -> list[tuple[float, ...]]:
    """Seconds of each step, in turn; the first round is dropped."""
    seconds: list[list[float]] = [[] for _ in steps]
    for done in range(pairs + 1):
        for step, own in zip(steps, seconds, strict=True):
            own.append(bench.timed(step))
        progress(done + 1, pairs + 1)
    return [tuple(own[1:]) for own in seconds]


class _Bench:
    """A network with drawn weights that learns from drawn latents; they take as long as real ones."""

    def __init__(self, shape: Shape, spec: BlockSpec, device: torch.device, *, precision: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.dit = DiT(shape.network.dit).to(device)
        self.shape, self.spec, self.device, self.half = shape, spec, device, precision == "bf16"
        self.clock = clock_of(device)

    def every_block(self, rows: int, blocks: int) -> Tensor:
        """The loss on all blocks of a batch of sequences."""
        lengths = (self.spec.block_frames,) * blocks
        clean, levels = self._latents(rows, sum(lengths)), torch.full((rows, blocks), T, device=self.device)
        cross, global_cond = self._told(rows)
        velocity = parallel_velocity(
            self.dit, clean, clean, levels, lengths_frames=lengths, context_blocks=self.spec.context_blocks,
            prefix_distance=self.spec.prefix_distance, cross=cross, global_cond=global_cond,
        )  # fmt: skip
        return F.mse_loss(velocity.float(), clean)

    def one_block(self, rows: int) -> Tensor:
        """The loss on the last block of a batch of windows, as arXiv 2605.22717 trains."""
        context, clean = self._latents(rows, self.spec.context_frames), self._latents(rows, self.spec.block_frames)
        cross, global_cond = self._told(rows)
        velocity = window_velocity(
            self.dit, context, clean, torch.full((rows,), T, device=self.device),
            prefix_distance=self.spec.prefix_distance, cross=cross, global_cond=global_cond,
        )  # fmt: skip
        return F.mse_loss(velocity.float(), clean)

    def timed(self, step: Callable[[], Tensor]) -> float:
        """Seconds of a forward and a backward pass."""
        self.dit.zero_grad(set_to_none=True)
        began = self.clock()
        self._forward(step).backward()
        return self.clock() - began

    def saved_bytes(self, step: Callable[[], Tensor]) -> int:
        """Memory that a forward pass keeps for the backward pass, weights apart; views count once."""
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.dit.parameters()}
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self._forward(step)  # held until all is counted: freed memory would be given out again
        total = sum(kept.values())
        del loss
        return total

    def _forward(self, step: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return step()

    def _latents(self, rows: int, frames: int) -> Tensor:
        return self._drawn(rows, self.shape.dit.io_channels, frames)

    def _told(self, rows: int) -> tuple[Tensor, Tensor]:
        dit = self.shape.dit
        return self._drawn(rows, self.shape.prompt_tokens, dit.cond_token_dim), self._drawn(rows, dit.global_cond_dim)

    def _drawn(self, *shape: int) -> Tensor:
        return noise(SEED, 0, 0, "bench", shape=shape).to(self.device)


def _settings(plan: FinetuningPlan, device: torch.device) -> dict[str, Any]:
    spec = plan.spec
    return {
        "shape": plan.shape, "block_frames": spec.block_frames, "context_frames": spec.context_frames,
        "blocks": plan.sequence_blocks, "pairs": plan.pairs, "precision": plan.precision, "device": str(device),
        "threads": torch.get_num_threads(), "torch": torch.__version__,
    }  # fmt: skip
