"""Streaming encode: audio in as it comes, in chunks of any length, latents out as soon as they are final, or nearly so.

Every stage of the encoder keeps the few inputs that its next outputs hear, so nothing is computed twice but these
margins. With a look-ahead of `hold_back_frames` latents are final when they leave, and all of them together are the
one-shot encode. With less, the newest ones hear the encoder's zeros in place of what has not come yet, as at the end of
a clip. Audio is taken in steps of `hop_frames`, whatever the chunks: they change no bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.encoder_stages import EncoderStage, encoder_stages
from lmdm_adapter.network.reach import encoder_hold_back_frames


class Kept(NamedTuple):
    """What a stage keeps: its newest inputs `b c p`, the first of them at position `start`, and outputs handed on."""

    inputs: Tensor | None = None
    start: int = 0
    outputs: int = 0


@dataclass(frozen=True, eq=False)
class EncoderState:
    """Everything that streaming encode needs to continue.

    `waiting` (`b ch s`) is audio of less than a hop, `kept` what each stage keeps. Audio of `frames_in` frames was
    taken, `frames_out` latents have left.
    """

    waiting: Tensor
    kept: tuple[Kept, ...]
    look_ahead_frames: int
    hop_frames: int
    frames_in: int = 0
    frames_out: int = 0


def hold_back_frames(codec: Codec) -> int:
    """Later frames of audio that a latent depends on: what exact streaming holds back (8 for Stable Audio Open)."""
    return encoder_hold_back_frames(codec.autoencoder.config)


def start(codec: Codec, *, batch: int = 1, look_ahead_frames: int | None = None, hop_frames: int = 1) -> EncoderState:
    """The state before the first sample of a stream of `batch` rows.

    `look_ahead_frames` is how many frames latents lag behind audio: None, or `hold_back_frames`, is exact mode. Larger
    hops cost less, and latents come up to a hop later. Raises LmdmError when one of these numbers cannot be.
    """
    exact = hold_back_frames(codec)
    look_ahead = exact if look_ahead_frames is None else look_ahead_frames
    if not 0 <= look_ahead <= exact:
        raise LmdmError(f"look_ahead_frames must lie between 0 and {exact} (exact) for this codec, got {look_ahead}.")
    if batch < 1 or hop_frames < 1:
        raise LmdmError(f"A stream needs rows and hops of at least 1, got batch={batch}, hop_frames={hop_frames}.")
    waiting = torch.empty(batch, codec.channels, 0, device=codec.device, dtype=codec.dtype)
    stages = len(encoder_stages(codec.autoencoder))
    return EncoderState(waiting, (Kept(),) * stages, look_ahead, hop_frames)


def encode_step(codec: Codec, state: EncoderState, audio: Tensor) -> tuple[Tensor, EncoderState]:
    """The latents that a chunk of audio settles, `b ch s -> b c n`, and the state after it; often there are none.

    Raises LmdmError for other rows or channels than the stream's, and for NaN or infinity: it would stay for a while.
    """
    rows = state.waiting.shape[0]
    if audio.ndim != 3 or tuple(audio.shape[:2]) != (rows, codec.channels):
        raise LmdmError(f"This stream takes audio of shape ({rows}, {codec.channels}, s), got {tuple(audio.shape)}.")
    if not torch.isfinite(audio).all():
        raise LmdmError("The audio to encode holds NaN or infinity; give silence in its place.")
    hop, pieces = state.hop_frames * codec.frame_samples, [_no_latents(codec, rows)]
    waiting = torch.cat([state.waiting, audio.to(state.waiting)], dim=-1)
    while waiting.shape[-1] >= hop:
        latents, state = _encoded(codec, state, waiting[..., :hop], ended=False)
        pieces.append(latents)
        waiting = waiting[..., hop:]
    return torch.cat(pieces, dim=-1), replace(state, waiting=waiting.clone())


def flush(codec: Codec, state: EncoderState) -> tuple[Tensor, EncoderState]:
    """The latents still held back, up to the one-shot encode's edge, `b c n`, and the state of a fresh stream.

    An incomplete last frame is filled up with silence.
    """
    rows, samples = state.waiting.shape[0], state.waiting.shape[-1]
    padded = torch.nn.functional.pad(state.waiting, (0, -samples % codec.frame_samples))
    latents = _no_latents(codec, rows)
    if state.frames_in or samples:
        latents, _ = _encoded(codec, state, padded, ended=True)
    return latents, start(codec, batch=rows, look_ahead_frames=state.look_ahead_frames, hop_frames=state.hop_frames)


def _no_latents(codec: Codec, rows: int) -> Tensor:
    return torch.empty(rows, codec.latent_channels, 0, device=codec.device, dtype=codec.dtype)


def _encoded(codec: Codec, state: EncoderState, audio: Tensor, *, ended: bool) -> tuple[Tensor, EncoderState]:
    """Take whole frames of audio: the latents up to the new border, and the state after it."""
    frames_in = state.frames_in + audio.shape[-1] // codec.frame_samples
    border = frames_in if ended else max(frames_in - state.look_ahead_frames, state.frames_out)
    exact = not ended and state.look_ahead_frames == hold_back_frames(codec)
    settled, tail, kept = audio, None if exact else audio[..., :0], []
    for stage, own in zip(encoder_stages(codec.autoencoder), state.kept, strict=True):
        settled, tail, after = _through(stage, own, settled, tail)
        kept.append(after)
    made = [part for part in (settled, tail) if part is not None]
    latents = _no_latents(codec, audio.shape[0])
    if made:
        first = state.kept[-1].outputs
        latents = torch.cat(made, dim=-1)[:, : codec.latent_channels, state.frames_out - first : border - first]
    return latents / codec.scale, replace(state, kept=tuple(kept), frames_in=frames_in, frames_out=border)


def _through(
    stage: EncoderStage, kept: Kept, settled: Tensor | None, tail: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Kept]:
    """New inputs of a stage to its new outputs: those that are settled, and the `tail` that ends in zeros if wanted."""
    parts = [part for part in (kept.inputs, settled) if part is not None]
    known = kept.start + sum(part.shape[-1] for part in parts)
    last, made, rest = stage.settled(known), None, None
    inputs = torch.cat(parts, dim=-1) if parts else None
    if tail is not None:
        whole = tail if inputs is None else torch.cat([inputs, tail], dim=-1)
        total = (known + tail.shape[-1]) // stage.stride
        both = stage.outputs(whole, start=kept.start, first=kept.outputs, last=total)
        made, rest = both[..., : last - kept.outputs], both[..., last - kept.outputs :]
    elif inputs is not None and last > kept.outputs:
        made = stage.outputs(inputs, start=kept.start, first=kept.outputs, last=last)
    begin = stage.first_input(last)
    inputs = None if inputs is None else inputs[..., begin - kept.start :].clone()
    return made, rest, Kept(inputs, begin, last)
