"""The only block loop: open the next block in its regime, denoise it, return the next state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.regimes import Noise, Target, opened
from lmdm_adapter.regimes import committed as committed
from lmdm_adapter.samplers import Velocity, combined, noise, noise_levels, sampled
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Block, StreamState
from lmdm_adapter.told import Told as Told


def begin(
    latents: Tensor | None, *, seeds: tuple[int, ...], spec: BlockSpec, codec: object = None,
    controls: Tensor | None = None,
) -> StreamState:  # fmt: skip
    """A stream's first state: cold, or primed with clean latents `b c n` whose newest whole blocks become context.

    `controls` are the frame controls `b e n` of these latents. Raises LmdmError for latents shorter than a block.
    """
    pending: tuple[Block, ...] = ()
    if latents is not None:
        count = min(latents.shape[-1] // spec.block_frames, spec.context_blocks)
        if count == 0:
            raise LmdmError(f"The prefix has {latents.shape[-1]} frames; it needs one block of {spec.block_frames}.")
        newest = slice(-count * spec.block_frames, None)
        parts = latents[..., newest].split(spec.block_frames, dim=-1)
        own = [None] * count if controls is None else controls[..., newest].split(spec.block_frames, dim=-1)
        pending = tuple(
            Block(part.contiguous(), None if told is None else told.contiguous())
            for part, told in zip(parts, own, strict=True)
        )
    return StreamState(blocks=(), pending=pending, codec=codec, frame_index=0, block_index=0, seeds=seeds)


class Rolled(NamedTuple):
    """One block as it was played: clean latents `b c n`, the state after it, and its last denoise step's input."""

    latents: Tensor
    state: StreamState
    x_t: Tensor
    t: float


def next_block(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, sampling: Sampling, frames: int | None = None,
    controls: Tensor | None = None, draw: Noise = noise, fused: bool = True,
) -> tuple[Tensor, StreamState]:  # fmt: skip
    """One block of clean latents `b c n`, and the state after it; the given state is not changed.

    `frames` overrides the block length, `controls` are the block's frame controls `b e n`, `draw` its noise.
    Raises LmdmError for a block of less than a frame, or frame controls where the regime takes none.
    """
    rolled = rolled_block(
        dit, state, told, spec=spec, sampling=sampling, frames=frames, controls=controls, draw=draw, fused=fused
    )
    return rolled.latents, rolled.state


def rolled_block(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, sampling: Sampling, frames: int | None = None,
    controls: Tensor | None = None, draw: Noise = noise, fused: bool = True, exit_step: int | None = None,
) -> Rolled:  # fmt: skip
    """`next_block` for training: it tells the last step's input, and may leave after denoise step `exit_step`."""
    frames = spec.block_frames if frames is None else frames
    _refuse_unfit(frames, controls, spec)
    rows, span = _rows_of(dit, state, draw), denoised_span(dit, state, frames, spec)
    shape = (dit.config.io_channels, span.frames)
    x = rows(0, "denoise", shape)
    levels = noise_levels(sampling.steps, dit.config.objective)

    def context_noise(t: float, context_shape: tuple[int, ...]) -> Tensor:
        """Fixed per block for Euler, whose steps follow one path; fresh for every step of ping-pong."""
        return rows(0 if sampling.sampler == "euler" else levels.index(t), "context", context_shape)

    target = Target(x, controls, context_noise, fused, guided_controls=sampling.guided_controls)
    block = opened(dit, state, told, target, spec=spec)
    done = sampled(
        block.velocity, x, sampling=sampling, objective=dit.config.objective,
        fresh_noise=lambda step: rows(step, "denoise", shape), exit_step=exit_step,
    )  # fmt: skip
    latents = done.denoised[..., span.block]
    return Rolled(latents, played(block.state, latents, controls), done.x_t[..., span.block], done.t)


def played(state: StreamState, latents: Tensor, controls: Tensor | None) -> StreamState:
    """The state after a block whose context is that of `state`: it is pending, until the next one commits it."""
    return replace(
        state, pending=(Block(latents.contiguous(), controls),), frame_index=state.frame_index + latents.shape[-1],
        block_index=state.block_index + 1,
    )  # fmt: skip


def block_velocity(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, frames: int | None = None,
    controls: Tensor | None = None, draw: Noise = noise,
) -> tuple[Velocity, StreamState]:  # fmt: skip
    """The guided velocity `(x, t) -> b c n` of the next block for samplers of others, and the state that it hears.

    Context is committed first, so that the velocity may be asked for any level in any order.
    """
    frames = spec.block_frames if frames is None else frames
    _refuse_unfit(frames, controls, spec)
    rows = _rows_of(dit, state, draw)
    x = rows(0, "denoise", (dit.config.io_channels, denoised_span(dit, state, frames, spec).frames))
    target = Target(x, controls, lambda _t, shape: rows(0, "context", shape), fused=False)
    block = opened(dit, state, told, target, spec=spec)
    return lambda x, t: combined(block.velocity(x, t), told.guidance), block.state


def _rows_of(dit: DiT, state: StreamState, draw: Noise) -> Callable[[int, str, tuple[int, ...]], Tensor]:
    """Noise `b c n` of one step and purpose, each row from its own seed."""
    device = dit.preprocess_conv.weight.device

    def rows(step: int, purpose: str, shape: tuple[int, ...]) -> Tensor:
        drawn = [draw(seed, state.block_index, step, purpose, shape=shape) for seed in state.seeds]
        return torch.stack(drawn).to(device)

    return rows


@dataclass(frozen=True)
class Span:
    """Frames that are denoised together, and which of them are the block."""

    frames: int
    block: slice


def denoised_span(dit: DiT, state: StreamState, frames: int, spec: BlockSpec) -> Span:
    """The block alone, but outpainting always fills the window that the stock model knows.

    An inpainting model denoises the context as well, as its host does; what becomes of it there is dropped.
    """
    if spec.regime != "outpaint":
        return Span(frames, slice(0, frames))
    context = sum(block.frames for block in (state.blocks + state.pending)[-spec.context_blocks :])
    new = max(frames, spec.context_frames + spec.block_frames - context)
    first = context if dit.config.input_concat_dim else 0
    return Span(first + new, slice(first, first + frames))


def _refuse_unfit(frames: int, controls: Tensor | None, spec: BlockSpec) -> None:
    if frames < 1:
        raise LmdmError(f"A block has at least 1 frame, got {frames}.")
    if controls is not None and spec.regime == "outpaint":
        raise LmdmError("Frame controls need a converted model; the outpaint regime plays without them.")
