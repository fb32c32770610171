"""Rollouts for post-training: the student plays on from its own output, and what each block ended with is kept.

The loop is the one that plays. No gradient is recorded here: a parallel forward over the recording gives every block's
output once more, with one (arXiv 2605.22717, ARC-Forcing; the gradient is that of the rollout itself: law).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.rollout import begin, rolled_block
from lmdm_adapter.samplers import estimate
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Conditioning
from lmdm_adapter.told import Told


class Recording(NamedTuple):
    """A rollout: `clean` is `b c (s + m)`, context and rolled blocks; `noisy` `b c m` and `t` `b k` are the inputs of
    every rolled block's last denoise step. `lengths_frames` are those of all blocks, the last k of them rolled.
    `controls` are the frame controls `b e (s + m)` that all of it was played with.
    """

    clean: Tensor
    noisy: Tensor
    t: Tensor
    lengths_frames: tuple[int, ...]
    controls: Tensor | None = None

    @property
    def context_frames(self) -> int:
        """Frames before the first rolled block."""
        return self.clean.shape[-1] - self.noisy.shape[-1]


@torch.no_grad()
def recorded_rollout(
    dit: DiT, context: Tensor | None, told: Conditioning, *, spec: BlockSpec, sampling: Sampling,
    lengths_frames: Sequence[int], exit_steps: Sequence[int], seeds: Sequence[int], controls: Tensor | None = None,
) -> Recording:  # fmt: skip
    """Roll out blocks of `lengths_frames` after the context `b c s` (None: from silence), leaving block j at denoise
    step `exit_steps[j]`. `seeds` has one for each row. `controls` are the frame controls `b e (s + m)` of the context
    and of all rolled blocks.
    """
    ready = Told.of(dit, told, guidance=sampling.guidance)
    past, own = _controls_of(controls, 0 if context is None else context.shape[-1], lengths_frames)
    state = begin(context, seeds=tuple(seeds), spec=spec, controls=past)
    clean, noisy, levels = [block.latents for block in state.pending], [], []
    for frames, exit_step, given in zip(lengths_frames, exit_steps, own, strict=True):
        rolled = rolled_block(
            dit, state, ready, spec=spec, sampling=sampling, frames=frames, exit_step=exit_step, controls=given
        )
        state = rolled.state
        clean.append(rolled.latents)
        noisy.append(rolled.x_t)
        levels.append(rolled.t)
    t = torch.tensor(levels, device=noisy[0].device).expand(len(seeds), -1)
    lengths = tuple(part.shape[-1] for part in clean)
    played = None if controls is None else controls[..., controls.shape[-1] - sum(lengths) :]
    return Recording(torch.cat(clean, dim=-1), torch.cat(noisy, dim=-1), t, lengths, played)


def _controls_of(
    controls: Tensor | None, context_frames: int, lengths_frames: Sequence[int]
) -> tuple[Tensor | None, Sequence[Tensor | None]]:
    """Frame controls of the context, and of every rolled block."""
    if controls is None:
        return None, [None] * len(lengths_frames)
    past, *own = controls.split([context_frames, *lengths_frames], dim=-1)
    return past, [part.contiguous() for part in own]


def replayed(
    dit: DiT, recording: Recording, told: Conditioning, *, spec: BlockSpec, checkpointed: bool = False
) -> Tensor:
    """Every rolled block's output once more, with gradients: denoised latents `b c m`, equal to the rollout's own.

    Blocks hear the recorded latents, which carry no gradient, through context that does.
    """
    forwards = {"block-causal": _block_causal, "encoder-decoder": _encoder_decoder}
    velocity = forwards[spec.regime](dit, recording, told, spec, checkpointed)
    rolled, start, parts = recording.lengths_frames[-recording.t.shape[1] :], 0, []
    for block, frames in enumerate(rolled):
        part, t = slice(start, start + frames), float(recording.t[0, block])
        guess = estimate(recording.noisy[..., part], velocity[..., part], t, dit.config.objective)
        parts.append(guess.denoised)
        start += frames
    return torch.cat(parts, dim=-1)


def _block_causal(dit: DiT, recording: Recording, told: Conditioning, spec: BlockSpec, checkpointed: bool) -> Tensor:
    return parallel_velocity(
        dit, recording.clean, recording.noisy, recording.t, lengths_frames=recording.lengths_frames,
        context_blocks=spec.context_blocks, prefix_distance=spec.prefix_distance, cross=told.cross,
        global_cond=told.global_cond, controls=recording.controls, checkpointed=checkpointed,
    )  # fmt: skip


def _encoder_decoder(dit: DiT, recording: Recording, told: Conditioning, spec: BlockSpec, checkpointed: bool) -> Tensor:
    """Windows of equal lengths as batch rows; each encodes its own context."""
    windows = _windows(recording, spec)
    velocity: dict[int, Tensor] = {}
    for lengths in dict.fromkeys(window.lengths_frames for window in windows):
        same = [window for window in windows if window.lengths_frames == lengths]
        context, noisy, t = (torch.cat(parts) for parts in zip(*(window.inputs for window in same), strict=True))
        cross, global_cond = (
            None if part is None else part.repeat(len(same), *(1 for _ in part.shape[1:]))
            for part in (told.cross, told.global_cond)
        )
        controls = [window.controls for window in same if window.controls is not None]
        rows = window_velocity(
            dit, context, noisy, t, prefix_distance=spec.prefix_distance, cross=cross, global_cond=global_cond,
            controls=torch.cat(controls) if controls else None, checkpointed=checkpointed,
        )  # fmt: skip
        velocity |= {window.block: part for window, part in zip(same, rows.chunk(len(same)), strict=True)}
    return torch.cat([velocity[window.block] for window in windows], dim=-1)


class _Window(NamedTuple):
    """One rolled block: its context `b c s`, its last step's input `b c n` and level `b`; controls `b e (s + n)`."""

    block: int
    inputs: tuple[Tensor, Tensor, Tensor]
    controls: Tensor | None

    @property
    def lengths_frames(self) -> tuple[int, int]:
        return self.inputs[0].shape[-1], self.inputs[1].shape[-1]


def _windows(recording: Recording, spec: BlockSpec) -> list[_Window]:
    lengths, count = recording.lengths_frames, recording.t.shape[1]
    clean = recording.clean.split(lengths, dim=-1)
    noisy = recording.noisy.split(lengths[-count:], dim=-1)
    windows = []
    for block, number in enumerate(range(len(lengths) - count, len(lengths))):
        first = max(0, number - spec.context_blocks)
        seen, part = clean[first:number], slice(sum(lengths[:first]), sum(lengths[: number + 1]))
        context = torch.cat(seen, dim=-1) if seen else recording.clean[..., :0]
        controls = None if recording.controls is None else recording.controls[..., part]
        windows.append(_Window(block, (context, noisy[block], recording.t[:, block]), controls))
    return windows
