"""Many streams at once, as samples rather than live: the same music as `LiveModel.stream`, several times faster.

Rows of a batch do not know of each other, and exact streaming decode is the one-shot decode, so both shortcuts leave
the music as it is, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter import codec_stream
from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.controls.frames import GivenControls, packed_controls
from lmdm_adapter.live import LiveModel
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.spec import Sampling
from lmdm_adapter.state import Conditioning, StreamState

DECODE_FRAMES = 128
"""Latents are decoded this many at a time: each decode repeats the codec's reach, which is longer than short blocks."""

RowControls = Callable[[int, int], Sequence[GivenControls | None]]
"""`controls(first_frame, frames)`: for each row, the frame controls of the block that begins at `first_frame`."""


def stream_together(
    live: LiveModel, prompts: Sequence[str], *, seconds: float, seeds: Sequence[int],
    primes: Sequence[Audio] | None = None, sampling: Sampling | None = None, controls: RowControls | None = None,
) -> list[Audio]:  # fmt: skip
    """What `live.stream(prompt, seconds, seed=seed, prime=prime)` plays for each row, whole.

    `sampling` None is the model's own; `controls` are the frame controls of all rows. Raises LmdmError as `stream`
    does.
    """
    samples, sampling = max(1, round(seconds * live.codec.sample_rate)), sampling or live.sampling
    with torch.inference_mode():
        context = None
        if primes is not None:
            context = torch.cat([prime_latents(live.codec, prime, live.spec) for prime in primes])
        told, state = _told(live, prompts, sampling), begin(context, seeds=tuple(seeds), spec=live.spec)
        latents = _latents(live, told, state, samples, sampling=sampling, controls=controls)
        if context is not None:
            latents = torch.cat([context, latents], dim=-1)
        rows = [_decoded(live, row, context=0 if context is None else context.shape[-1]) for row in latents.split(1)]
    return [Audio(row[:, :samples].float().cpu().numpy(), live.codec.sample_rate) for row in rows]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Streams under way: the state of all, the decoder of each, and what each has played of the next window."""

    state: StreamState
    decoders: tuple[codec_stream.CodecState, ...]
    waiting: tuple[np.ndarray, ...]


def windows_together(
    live: LiveModel, prompts: Sequence[str], *, windows: int, window_seconds: float, seeds: Sequence[int],
    sampling: Sampling, primes: Sequence[Audio] | None = None,
) -> Iterator[list[Audio]]:  # fmt: skip
    """Window after window of what `live.stream` plays for each row; memory does not grow with their number.

    Raises LmdmError as `stream` does.
    """
    samples = max(1, round(window_seconds * live.codec.sample_rate))
    with torch.inference_mode():
        told, rows = _told(live, prompts, sampling), _started(live, seeds, primes)
    for _ in range(windows):
        while min(row.shape[1] for row in rows.waiting) < samples:
            rows = _played_on(live, rows, told, sampling)
        yield [Audio(row[:, :samples].copy(), live.codec.sample_rate) for row in rows.waiting]
        rows = replace(rows, waiting=tuple(row[:, samples:].copy() for row in rows.waiting))


def _started(live: LiveModel, seeds: Sequence[int], primes: Sequence[Audio] | None) -> _Rows:
    contexts: list[Tensor | None] = [None] * len(seeds)
    if primes is not None:
        contexts = [prime_latents(live.codec, prime, live.spec) for prime in primes]
    return _Rows(
        begin(_rows(contexts), seeds=tuple(seeds), spec=live.spec),
        tuple(codec_stream.start(live.codec, context=context) for context in contexts),
        tuple(np.zeros((live.codec.channels, 0), dtype=np.float32) for _ in seeds),
    )


@torch.inference_mode()
def _played_on(live: LiveModel, rows: _Rows, told: Told, sampling: Sampling) -> _Rows:
    """All rows some blocks later. They are decoded one by one: a decoder takes far more memory than its latents."""
    state, parts = rows.state, []
    for _ in range(math.ceil(DECODE_FRAMES / live.spec.block_frames)):
        latents, state = next_block(live.engine, state, told, spec=live.spec, sampling=sampling)
        parts.append(latents.to(live.codec.dtype))
    pairs = zip(rows.decoders, torch.cat(parts, dim=-1).split(1), strict=True)
    decoded = [codec_stream.decode_step(live.codec, decoder, latents) for decoder, latents in pairs]
    waiting = tuple(
        np.concatenate((row, audio[0].float().cpu().numpy()), axis=1)
        for row, (audio, _) in zip(rows.waiting, decoded, strict=True)
    )
    return _Rows(state, tuple(decoder for _, decoder in decoded), waiting)


def _told(live: LiveModel, prompts: Sequence[str], sampling: Sampling) -> Told:
    told = [
        condition(live.network, Controls.of(prompt), window_seconds=live.window_seconds, device=live.device)
        for prompt in prompts
    ]
    joined = Conditioning(cross=_rows([one.cross for one in told]), global_cond=_rows([o.global_cond for o in told]))
    return Told.of(live.engine, joined, guidance=sampling.guidance)


def _rows(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def blocks_of(live: LiveModel, samples: int) -> int:
    """Blocks that make this many samples final: a stream goes on past its end by the hold-back, then is cut."""
    frames = math.ceil(samples / live.codec.frame_samples) + live.codec.hold_back_frames
    return math.ceil(frames / live.spec.block_frames)


def _latents(
    live: LiveModel, told: Told, state: StreamState, samples: int, *, sampling: Sampling, controls: RowControls | None
) -> Tensor:
    """All blocks after `state` that make so many samples final, `b c n`."""
    parts, frames = [], live.spec.block_frames
    for _ in range(blocks_of(live, samples)):
        given = None if controls is None else _packed_rows(live, controls(state.frame_index, frames), frames)
        latents, state = next_block(live.engine, state, told, spec=live.spec, sampling=sampling, controls=given)
        parts.append(latents)
    return torch.cat(parts, dim=-1)


def _packed_rows(live: LiveModel, given: Sequence[GivenControls | None], frames: int) -> Tensor | None:
    """The controls of all rows as `b e n`; zeros for a row without any."""
    declared = live.network.dit.config.further_controls
    nothing = {name: torch.zeros(channels, frames) for name, channels in declared}
    if not any(given):
        return None
    rows = [packed_controls(one or nothing, declared, rows=1, frames=frames, device=live.device) for one in given]
    return torch.cat([row for row in rows if row is not None])


def _decoded(live: LiveModel, latents: Tensor, *, context: int) -> Tensor:
    """The audio after `context` frames, `ch s`."""
    return live.codec.decode_in_pieces(latents.to(live.codec.dtype), first_frame=context)[0]
