"""The benchmark: all regimes in turn, block by block, so that what disturbs the machine disturbs them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from lmdm_adapter.bench.figures import BenchReport, RegimeFigures, StageTime
from lmdm_adapter.bench.floor import floor_seconds, recorded
from lmdm_adapter.bench.passes import counted, formula_frames
from lmdm_adapter.bench.rig import Rig, rig_of
from lmdm_adapter.bench.shapes import SHAPES
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.memory import peak_rss_bytes
from lmdm_adapter.spec import BlockSpec, Regime, Sampling
from lmdm_adapter.state import StreamState

Progress = Callable[[int, int], None]
Clock = Callable[[], float]
MOST_BLOCKS = 10_000


@dataclass(frozen=True)
class BenchPlan:
    """What is timed. Lengths of None are those that the shape is played in; `against` are timed beside `regime`.

    Raises LmdmError for an unknown shape, a context of no whole number of blocks, or a number of blocks out of range.
    """

    shape: str = "sao-small"
    regime: Regime = "block-causal"
    against: tuple[Regime, ...] = ("outpaint", "encoder-decoder")
    block_frames: int | None = None
    context_frames: int | None = None
    sampling: Sampling = Sampling()
    blocks: int = 8

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise LmdmError(f"Unknown shape {self.shape!r}; choose one of {', '.join(SHAPES)}.")
        if not 2 <= self.blocks <= MOST_BLOCKS:
            raise LmdmError(f"A median needs 2 to {MOST_BLOCKS} blocks, got {self.blocks}.")
        if self._spec.context_frames != self._context_frames:
            raise LmdmError(
                f"A context of {self._context_frames} frames is no whole number of blocks of {self._block_frames}; "
                f"give {self._spec.context_frames}."
            )

    @property
    def _block_frames(self) -> int:
        return SHAPES[self.shape].spec.block_frames if self.block_frames is None else self.block_frames

    @property
    def _context_frames(self) -> int:
        return SHAPES[self.shape].spec.context_frames if self.context_frames is None else self.context_frames

    @property
    def _spec(self) -> BlockSpec:
        if self._block_frames < 1:
            raise LmdmError(f"A block has at least 1 frame, got {self._block_frames}.")
        return BlockSpec(self._block_frames, max(1, self._context_frames // self._block_frames))

    @property
    def specs(self) -> tuple[BlockSpec, ...]:
        """Blocks of every regime to time, the benchmarked one first."""
        return tuple(replace(self._spec, regime=regime) for regime in dict.fromkeys((self.regime, *self.against)))


def bench(
    plan: BenchPlan, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    progress: Progress = lambda done, total: None,
) -> BenchReport:  # fmt: skip
    """Time `plan.blocks` blocks of every regime, and the arithmetic floor of each stage. `progress` hears rounds."""
    shape, place = SHAPES[plan.shape], torch.device(device)
    rig, clock = rig_of(shape, plan.sampling, device=place, dtype=dtype), clock_of(place)
    with torch.inference_mode():
        turns = [_Turn.of(rig, spec) for spec in plan.specs]
        decode = _timed_decode(rig, turns, plan, clock, progress)
    return BenchReport(
        settings=_settings(plan, place, dtype), block_seconds=plan.specs[0].block_frames / rig.codec.frame_rate_hz,
        decode=decode, regimes=tuple(turn.figures(clock) for turn in turns), weights_bytes=rig.weights_bytes,
        peak_rss_bytes=peak_rss_bytes(), peak_device_bytes=_peak_device_bytes(place),
    )  # fmt: skip


def _timed_decode(rig: Rig, turns: list[_Turn], plan: BenchPlan, clock: Clock, progress: Progress) -> StageTime:
    """All rounds: every regime's stages, then the decode that they share. The first round warms up and is dropped."""
    spec = plan.specs[0]
    decoder, seconds = rig.decoder(spec), list[float]()
    for done in range(plan.blocks + 1):
        for turn in turns:
            turn.take(clock)
        began = clock()
        rig.decoded(decoder, spec)
        seconds.append(clock() - began)
        progress(done + 1, plan.blocks + 1)
    operations = recorded(lambda: rig.decoded(decoder, spec), rig.codec.autoencoder)
    return StageTime.of(seconds[1:], floor=floor_seconds(operations, clock))


@dataclass(frozen=True, eq=False)
class _Turn:
    """One regime in mid-stream, and the times of its stages; every block starts from the same state."""

    rig: Rig
    spec: BlockSpec
    state: StreamState
    denoise: list[float]
    commit: list[float]
    played: list[float]

    @staticmethod
    def of(rig: Rig, spec: BlockSpec) -> _Turn:
        return _Turn(rig, spec, rig.in_mid_stream(spec), [], [], [])

    @property
    def fuses(self) -> bool:
        """Whether playing differs from its two stages one after the other."""
        return self.spec.regime == "block-causal"

    def take(self, clock: Clock) -> None:
        """Time one block by its stages, then as it is played."""
        began = clock()
        velocity = self.rig.opened(self.state, self.spec)
        opened = clock()
        self.rig.denoised(velocity, self.spec)
        denoised = clock()
        if self.fuses:
            self.rig.played(self.state, self.spec)
        self.commit.append(opened - began)
        self.denoise.append(denoised - opened)
        self.played.append(clock() - (denoised if self.fuses else began))

    def figures(self, clock: Clock) -> RegimeFigures:
        """Times without the first block, floors, and the work that was counted."""
        rig, spec, state = self.rig, self.spec, self.state
        with torch.no_grad():
            velocity = rig.opened(state, spec)
            passes = counted(rig.dit, lambda: rig.played(state, spec))
        commit = floor_seconds(recorded(lambda: rig.opened(state, spec), rig.dit), clock)
        denoise = floor_seconds(recorded(lambda: rig.denoised(velocity, spec), rig.dit), clock)
        fused = floor_seconds(recorded(lambda: rig.played(state, spec), rig.dit), clock) if self.fuses else None
        return RegimeFigures(
            regime=spec.regime, network_frames_per_block=passes.frames,
            formula_frames_per_block=formula_frames(spec, steps=rig.sampling.steps),
            network_evaluations_per_block=passes.evaluations, state_bytes=state_bytes(state),
            denoise=StageTime.of(self.denoise[1:], floor=denoise), commit=StageTime.of(self.commit[1:], floor=commit),
            played=StageTime.of(self.played[1:], floor=commit + denoise if fused is None else fused),
        )  # fmt: skip


def state_bytes(state: StreamState) -> int:
    """What a stream keeps of its context between blocks: latents, frame controls, keys and values."""
    kept = [(block.latents, block.controls, block.keys_values) for block in state.blocks + state.pending]
    return sum(tensor.nbytes for parts in kept for tensor in parts if tensor is not None)


def clock_of(device: torch.device) -> Clock:
    """Seconds, read when the device has finished what it was given."""
    if device.type != "cuda":
        return time.perf_counter

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronised


def _settings(plan: BenchPlan, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    spec, sampling = plan.specs[0], plan.sampling
    return {
        "shape": plan.shape, "block_frames": spec.block_frames, "context_frames": spec.context_frames,
        "steps": sampling.steps, "sampler": sampling.sampler, "guidance": sampling.guidance, "blocks": plan.blocks,
        "device": str(device), "dtype": str(dtype).removeprefix("torch."), "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }  # fmt: skip


def _peak_device_bytes(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
