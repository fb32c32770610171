"""How far a model drifts from real music, measured on latents of the model that plays: cheap enough for validation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lmdm_adapter.live import LiveModel
from lmdm_adapter.rollout import begin, next_block
from lmdm_adapter.told import Told
from lmdm_adapter.training.clips import LatentCrops, PromptedLatents
from lmdm_adapter.training.control_crops import ControlCrops, ControlledLatents
from lmdm_adapter.training.prompts import conditioning_of

FLOOR = 1e-6
CLIPS = 16


@torch.no_grad()
def rollout_measures(
    live: LiveModel, crops: LatentCrops | ControlCrops, *, blocks: int, clips: int = CLIPS
) -> dict[str, float]:
    """Play on for `blocks` from `clips` held-out clips or a few more, in all denoise steps, and compare with the truth.

    Where crops have frame controls it is played with them.
    "mean", "spread" and "motion" are distances of the latent channels' means, log deviations and log mean changes from
    frame to frame; 0 is real music.
    """
    context, frames = live.spec.context_frames, blocks * live.spec.block_frames
    batches = [crops.batch(index, context + frames) for index in range(math.ceil(clips / crops.batch_size))]
    played = torch.cat([
        continued(live, batch[0][..., :context].to(live.device), batch[1], blocks=blocks, controls=_controls(batch))
        for batch in batches
    ])  # fmt: skip
    real = statistics(torch.cat([batch[0][..., context:] for batch in batches]).to(played))
    return {name: float((value - real[name]).abs().mean()) for name, value in statistics(played).items()}


def _controls(batch: PromptedLatents | ControlledLatents) -> Tensor | None:
    return batch.controls if isinstance(batch, ControlledLatents) else None


def continued(
    live: LiveModel, context: Tensor, prompts: Sequence[str], *, blocks: int, controls: Tensor | None = None
) -> Tensor:
    """What the model plays after the context `b c s`, each row under its prompt: `b c n`.

    `controls` are the frame controls `b e (s + n)` of the context and of what is played.
    """
    told = conditioning_of(live.network, prompts, seconds=live.window_seconds, device=live.device)
    ready = Told.of(live.engine, told, guidance=live.sampling.guidance)
    size, past, given = live.spec.block_frames, None, [None] * blocks
    if controls is not None:
        past, *given = controls.to(live.device).split([context.shape[-1], *([size] * blocks)], dim=-1)
    state = begin(context, seeds=tuple(range(len(context))), spec=live.spec, controls=past)
    parts = []
    for own in given:
        latents, state = next_block(live.engine, state, ready, spec=live.spec, sampling=live.sampling, controls=own)
        parts.append(latents)
    return torch.cat(parts, dim=-1)


def statistics(latents: Tensor) -> dict[str, Tensor]:
    """Mean, log deviation and log mean change of every channel over all rows and frames of `b c n`, each `c`."""
    spread = latents.std(dim=(0, 2)).clamp(min=FLOOR).log()
    motion = latents.diff(dim=-1).abs().mean(dim=(0, 2)).clamp(min=FLOOR).log()
    return {"mean": latents.mean(dim=(0, 2)), "spread": spread, "motion": motion}
