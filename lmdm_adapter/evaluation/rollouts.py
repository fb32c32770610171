"""Many streams at once, as samples rather than live: the same music as `LiveModel.stream`, several times faster.

Rows of a batch do not know of each other, and exact streaming decode is the one-shot decode, so both shortcuts leave
the music as it is, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.live import LiveModel
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.state import Conditioning


def stream_together(
    live: LiveModel, prompts: Sequence[str], *, seconds: float, seeds: Sequence[int],
    primes: Sequence[Audio] | None = None,
) -> list[Audio]:  # fmt: skip
    """What `live.stream(prompt, seconds, seed=seed, prime=prime)` plays for each row, whole.

    Raises LmdmError as `stream` does.
    """
    samples = max(1, round(seconds * live.codec.sample_rate))
    with torch.inference_mode():
        context = None
        if primes is not None:
            context = torch.cat([prime_latents(live.codec, prime, live.spec) for prime in primes])
        latents = _latents(live, _told(live, prompts), _blocks(live, samples), seeds=tuple(seeds), context=context)
        rows = [_decoded(live, row, context=0 if context is None else context.shape[-1]) for row in latents.split(1)]
    return [Audio(row[:, :samples].float().cpu().numpy(), live.codec.sample_rate) for row in rows]


def _told(live: LiveModel, prompts: Sequence[str]) -> Told:
    told = [
        condition(live.network, Controls.of(prompt), window_seconds=live.window_seconds, device=live.device)
        for prompt in prompts
    ]
    joined = Conditioning(cross=_rows([one.cross for one in told]), global_cond=_rows([o.global_cond for o in told]))
    return Told.of(live.engine, joined, guidance=live.sampling.guidance)


def _rows(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def _blocks(live: LiveModel, samples: int) -> int:
    """Blocks that make this many samples final: a stream goes on past its end by the hold-back, then is cut."""
    frames = math.ceil(samples / live.codec.frame_samples) + live.codec.hold_back_frames
    return math.ceil(frames / live.spec.block_frames)


def _latents(live: LiveModel, told: Told, blocks: int, *, seeds: tuple[int, ...], context: Tensor | None) -> Tensor:
    """Context, if any, and all blocks, `b c n`."""
    state = begin(context, seeds=seeds, spec=live.spec)
    parts = [] if context is None else [context]
    for _ in range(blocks):
        latents, state = next_block(live.engine, state, told, spec=live.spec, sampling=live.sampling)
        parts.append(latents)
    return torch.cat(parts, dim=-1)


def _decoded(live: LiveModel, latents: Tensor, *, context: int) -> Tensor:
    """The audio after `context` frames, `ch s`."""
    return live.codec.decode_in_pieces(latents.to(live.codec.dtype), first_frame=context)[0]
