"""The three ways to make a block hear its context; each opens a block for the one loop in `rollout`.

Opening gives the velocity of the block's noisy latents, and the state with the context that it hears. Velocities of all
branches of guidance come from one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import encode_window
from lmdm_adapter.network.streaming import Window, commit, denoise, denoise_committing
from lmdm_adapter.samplers import Velocity, alpha_sigma
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.state import StreamState, recached, windowed
from lmdm_adapter.told import Told

Noise = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Target:
    """The block to be: its noise `b c n`, its frame controls `b e n`, and noise for the context by level.

    `x` is the whole window where an inpainting model outpaints.
    `fused` commits pending blocks inside the first denoise step, which saves a pass and changes nothing.
    With `guided_controls` the null branch of guidance goes without the frame controls.
    """

    x: Tensor
    controls: Tensor | None = None
    context_noise: Callable[[float, tuple[int, ...]], Tensor] | None = None
    fused: bool = True
    guided_controls: bool = False

    def controls_of(self, told: Told) -> Tensor | None:
        """Frame controls of all branches, `(g b) e n`: controls that are not there are zeros."""
        if self.controls is None or told.branches == 1 or not self.guided_controls:
            return _branched(self.controls, told)
        return torch.cat([self.controls, torch.zeros_like(self.controls)])


@dataclass(frozen=True, eq=False)
class Opened:
    """A block about to be denoised: the state whose context it hears, and the velocity of its noisy latents."""

    state: StreamState
    velocity: Velocity


def opened(dit: DiT, state: StreamState, told: Told, target: Target, *, spec: BlockSpec) -> Opened:
    """Open the next block in the regime of `spec`. The given state is not changed."""
    return _OPENINGS[spec.regime](dit, state, told, target, spec)


def committed(dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec) -> StreamState:
    """`state` with every pending block committed under `told`, the window cut to `context_blocks`."""
    state, rows = _with_branches(state, told, spec), len(state.seeds) * told.branches
    new = commit(dit, state.blocks, state.pending, prompt=told.prompt, rows=rows, context_blocks=spec.context_blocks)
    return windowed(state, state.blocks + new, context_blocks=spec.context_blocks)


def _with_branches(state: StreamState, told: Told, spec: BlockSpec) -> StreamState:
    """Turning guidance on needs a null branch that the window does not have: the whole window is recached."""
    rows = len(state.seeds) * told.branches
    missing = any(block.keys_values is None or block.keys_values.shape[2] < rows for block in state.blocks)
    return recached(state, context_blocks=spec.context_blocks) if missing else state


def _block_causal(dit: DiT, state: StreamState, told: Told, target: Target, spec: BlockSpec) -> Opened:
    """Cached keys and values; pending blocks are committed first, or within the first denoise step."""
    first = None
    if state.pending and target.fused:
        first, state = _first_velocity(dit, state, told, target, spec)
    else:
        state = committed(dit, state, told, spec=spec)
    rows = target.x.shape[0] * told.branches
    window = Window.of(dit, state.blocks, rows=rows, prefix_distance=spec.prefix_distance)
    return Opened(state, _after(first, _against(dit, window, told, target, spec)))


def _first_velocity(
    dit: DiT, state: StreamState, told: Told, target: Target, spec: BlockSpec
) -> tuple[Tensor, StreamState]:
    """The velocity of pure noise, from the pass that commits what is pending, and the state after that."""
    state = _with_branches(state, told, spec)
    velocity, new = denoise_committing(
        dit, _branched(target.x, told), _levels(target.x, 1.0, told), blocks=state.blocks, pending=state.pending,
        prefix_distance=spec.prefix_distance, context_blocks=spec.context_blocks, prompt=told.prompt,
        global_cond=told.global_cond, controls=target.controls_of(told),
    )  # fmt: skip
    return velocity.float(), windowed(state, state.blocks + new, context_blocks=spec.context_blocks)


def _encoder_decoder(dit: DiT, state: StreamState, told: Told, target: Target, spec: BlockSpec) -> Opened:
    """Context is encoded anew, attending to all of itself; blocks keep latents only."""
    state = _latents_only(state, spec)
    window = encode_window(
        dit, state.blocks, prompt=told.prompt, rows=target.x.shape[0] * told.branches,
        prefix_distance=spec.prefix_distance,
    )  # fmt: skip
    return Opened(state, _against(dit, window, told, target, spec))


def _outpaint(dit: DiT, state: StreamState, told: Told, target: Target, spec: BlockSpec) -> Opened:
    """The stock forward over one window, its context noised to the level of the target at every step.

    A model that takes its context beside the window does that instead, as it was trained to.
    """
    state = _latents_only(state, spec)
    context = torch.cat([block.latents for block in state.blocks], dim=-1) if state.blocks else target.x[..., :0]
    if dit.config.input_concat_dim:
        return Opened(state, _inpainting(dit, context, told, frames=target.x.shape[-1]))
    draw = target.context_noise
    assert draw is not None, "outpainting noises its context"

    def velocity(x: Tensor, t: float) -> Tensor:
        alpha, sigma = alpha_sigma(t, dit.config.objective)
        noised = alpha * context + sigma * draw(t, tuple(context.shape[1:])) if context.shape[-1] else context
        window = _branched(torch.cat([noised, x], dim=-1), told)
        out = dit.offline(window, _levels(x, t, told), prompt=told.prompt, global_cond=told.global_cond)
        return out[..., context.shape[-1] :].float()

    return Opened(state, velocity)


def _inpainting(dit: DiT, context: Tensor, told: Told, *, frames: int) -> Velocity:
    """The velocity of a whole window of `frames`, whose first frames are given as the clean `context` (`b c s`)."""
    marked = torch.cat([torch.ones_like(context[:, :1]), context], dim=1)
    given = _branched(F.pad(marked, (0, frames - context.shape[-1])), told)

    def velocity(x: Tensor, t: float) -> Tensor:
        return dit.offline(
            _branched(x, told), _levels(x, t, told), prompt=told.prompt, global_cond=told.global_cond, given=given
        ).float()

    return velocity


def _latents_only(state: StreamState, spec: BlockSpec) -> StreamState:
    """`state` with its newest blocks as context, without K/V."""
    blocks = tuple(block.uncommitted() for block in state.blocks + state.pending)
    return windowed(state, blocks, context_blocks=spec.context_blocks)


def _against(dit: DiT, window: Window, told: Told, target: Target, spec: BlockSpec) -> Velocity:
    """Denoise steps against a window that is ready."""
    controls = target.controls_of(told)

    def velocity(x: Tensor, t: float) -> Tensor:
        return denoise(
            dit, _branched(x, told), _levels(x, t, told), window=window, prefix_distance=spec.prefix_distance,
            prompt=told.prompt, global_cond=told.global_cond, controls=controls,
        ).float()  # fmt: skip

    return velocity


def _after(first: Tensor | None, velocity: Velocity) -> Velocity:
    """`velocity`, with that of pure noise known already: the sampler's first question."""
    return velocity if first is None else lambda x, t: first if t == 1.0 else velocity(x, t)


def _branched(x: Tensor | None, told: Told) -> Tensor | None:
    """The batch of all branches, `(g b) c n`."""
    return None if x is None else x.repeat(told.branches, 1, 1)


def _levels(x: Tensor, t: float, told: Told) -> Tensor:
    return torch.full((x.shape[0] * told.branches,), t, device=x.device)


_OPENINGS: dict[str, Callable[[DiT, StreamState, Told, Target, BlockSpec], Opened]] = {
    "block-causal": _block_causal,
    "encoder-decoder": _encoder_decoder,
    "outpaint": _outpaint,
}
