"""The only block loop: commit what is pending, denoise the next block, return the next state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.streaming import Window, commit, denoise
from lmdm_adapter.samplers import guided, noise, sample
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Block, Conditioning, StreamState, recached

Noise = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Told:
    """Conditioning made ready for a batch: each layer's cross K/V and the global input, doubled under guidance."""

    prompt: Sequence[KeysValues] | None
    global_cond: Tensor | None
    guidance: float

    @property
    def branches(self) -> int:
        """2 under guidance ([conditional, null]), 1 without."""
        return 1 if self.guidance == 1.0 else 2

    @staticmethod
    def of(dit: DiT, conditioning: Conditioning, *, guidance: float) -> Told:
        """Project the prompt once; it serves every denoise step and every block until it changes."""
        if guidance != 1.0:
            conditioning = conditioning.doubled()
        return Told(dit.prompt_keys_values(conditioning.cross), conditioning.global_cond, guidance)


def begin(latents: Tensor | None, *, seeds: tuple[int, ...], spec: BlockSpec, codec: object = None) -> StreamState:
    """A stream's first state: cold, or primed with clean latents `b c n` whose newest whole blocks become context.

    Raises LmdmError for primed latents shorter than a block.
    """
    pending: tuple[Block, ...] = ()
    if latents is not None:
        count = min(latents.shape[-1] // spec.block_frames, spec.context_blocks)
        if count == 0:
            raise LmdmError(f"The prefix has {latents.shape[-1]} frames; it needs one block of {spec.block_frames}.")
        parts = latents[..., -count * spec.block_frames :].split(spec.block_frames, dim=-1)
        pending = tuple(Block(part.contiguous()) for part in parts)
    return StreamState(blocks=(), pending=pending, codec=codec, frame_index=0, block_index=0, seeds=seeds)


def next_block(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, sampling: Sampling, frames: int | None = None,
    controls: Tensor | None = None, draw: Noise = noise,
) -> tuple[Tensor, StreamState]:  # fmt: skip
    """One block of clean latents `b c n`, and the state after it; the given state is not changed.

    `frames` overrides the block length, `controls` are the block's frame controls `b e n`, `draw` its noise.
    """
    state = committed(dit, state, told, spec=spec)
    latents = _denoised(dit, state, told, spec=spec, sampling=sampling, frames=frames or spec.block_frames,
                        controls=controls, draw=draw)  # fmt: skip
    following = replace(
        state, pending=(Block(latents, controls),), frame_index=state.frame_index + latents.shape[-1],
        block_index=state.block_index + 1,
    )  # fmt: skip
    return latents, following


def committed(dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec) -> StreamState:
    """`state` with every pending block committed under `told`, the window cut to `context_blocks`.

    Turning guidance on needs a null branch that the window does not have: the whole window is recached.
    """
    rows = len(state.seeds) * told.branches
    if any(block.keys_values.shape[2] < rows for block in state.blocks):
        state = recached(state)
    new = commit(dit, state.blocks, state.pending, prompt=told.prompt, rows=rows, context_blocks=spec.context_blocks)
    return replace(state, blocks=(state.blocks + new)[-spec.context_blocks :], pending=())


def _denoised(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, sampling: Sampling, frames: int,
    controls: Tensor | None, draw: Noise,
) -> Tensor:  # fmt: skip
    rows = len(state.seeds) * told.branches
    window = Window.of(dit, state.blocks, rows=rows, prefix_distance=spec.prefix_distance)
    device, shape = dit.preprocess_conv.weight.device, (dit.config.io_channels, frames)
    if controls is not None:
        controls = controls.repeat(told.branches, 1, 1)

    def fresh_noise(step: int) -> Tensor:
        rows = [draw(seed, state.block_index, step, "denoise", shape=shape) for seed in state.seeds]
        return torch.stack(rows).to(device)

    def velocity(x: Tensor, t: float) -> Tensor:
        levels = torch.full((rows,), t, device=device)
        out = denoise(dit, x.repeat(told.branches, 1, 1), levels, window=window, prefix_distance=spec.prefix_distance,
                      prompt=told.prompt, global_cond=told.global_cond, controls=controls).float()  # fmt: skip
        return out if told.branches == 1 else guided(*out.chunk(2), told.guidance)

    return sample(velocity, fresh_noise(0), sampling=sampling, objective=dit.config.objective, fresh_noise=fresh_noise)
