"""Streaming decode: latents in as they come, audio out as soon as it is final, or nearly so.

With a look-ahead of `codec.hold_back_frames` the audio is final when it leaves, and all of it together is the one-shot
decode. With less, the last frames of a piece were decoded without all they hear: in place of what has not come yet they
hear the decoder's zeros, as at the end of every clip it was trained on (repeating or averaging the newest latents was
measured to be no nearer). The next decode knows better, and takes over in a crossfade that starts at the border: no
older decode is nearer the truth before it, and after it the old decode only gets worse, so the fade is short. Both
decode the same latents, so their gains sum to one (raised cosine), not their powers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError

CROSSFADE_FRAMES = 0.25
MARGIN_FRAMES = 2


@dataclass(frozen=True, eq=False)
class CodecState:
    """Everything that streaming decode needs to continue: trailing latents, the fading tail, two counters.

    `latents` (`b c n`) are those that later audio still hears. `tail` (`b ch s`) is the previous decode beyond the
    border where it stopped, to be faded out (no samples in exact mode). `frames_in` latents came, audio of
    `frames_out` has left.
    """

    latents: Tensor
    tail: Tensor
    look_ahead_frames: int
    frames_in: int = 0
    frames_out: int = 0


def start(
    codec: Codec, *, batch: int = 1, look_ahead_frames: int | None = None, context: Tensor | None = None
) -> CodecState:
    """The state before the first latent of a stream of `batch` rows.

    `look_ahead_frames` is how many frames audio lags behind latents: None, or `codec.hold_back_frames`, is exact mode.
    `context` (`b c n`) are latents that came before and whose audio is already out: the stream goes on after them.
    Raises LmdmError when the look-ahead is negative or more than exact mode takes, or the context does not fit.
    """
    exact = codec.hold_back_frames
    look_ahead = exact if look_ahead_frames is None else look_ahead_frames
    if not 0 <= look_ahead <= exact:
        raise LmdmError(f"look_ahead_frames must lie between 0 and {exact} (exact) for this codec, got {look_ahead}.")
    if batch < 1:
        raise LmdmError(f"A stream needs at least 1 row, got batch={batch}.")
    place = {"device": codec.device, "dtype": codec.dtype}
    silence = torch.empty(batch, codec.channels, 0, **place)
    if context is None:
        return CodecState(torch.empty(batch, codec.latent_channels, 0, **place), silence, look_ahead)
    _require_rows(codec, context, batch)
    frames = context.shape[-1]
    return CodecState(_last_frames(context, exact), silence, look_ahead, frames, frames)


def decode_step(codec: Codec, state: CodecState, latents: Tensor) -> tuple[Tensor, CodecState]:
    """The audio that new latents settle, `b c n -> b ch s`, and the state after it; at first there may be none.

    Raises LmdmError when the latents are not the codec's, or of another batch than the stream.
    """
    _require_rows(codec, latents, state.latents.shape[0])
    frames_in = state.frames_in + latents.shape[-1]
    window = replace(state, latents=torch.cat((state.latents, latents), dim=-1), frames_in=frames_in)
    border = max(frames_in - state.look_ahead_frames, state.frames_out)
    audio, tail = _decode_until(codec, window, border, ended=False)
    kept = _last_frames(window.latents, frames_in - border + codec.hold_back_frames)
    return audio, CodecState(kept, tail, state.look_ahead_frames, frames_in, border)


def flush(codec: Codec, state: CodecState) -> tuple[Tensor, CodecState]:
    """The audio still held back, ending on the one-shot decode's edge, `b ch s`, and the state of a fresh stream."""
    audio, _ = _decode_until(codec, state, state.frames_in, ended=True)
    return audio, start(codec, batch=state.latents.shape[0], look_ahead_frames=state.look_ahead_frames)


def low_latency_frames(codec: Codec) -> int:
    """The default look-ahead of low-latency mode: two frames less than exact mode.

    Residuals were -59 to -82 dB of peak on four-stage codecs early in their training; how fast a decoder forgets is up
    to its weights, so `codec_residual.calibrated_look_ahead_frames` measures the least look-ahead for a given codec.
    """
    return max(codec.hold_back_frames - MARGIN_FRAMES, 0)


def crossfade_samples(codec: Codec, look_ahead_frames: int) -> int:
    """Length of the crossfade after a border: none in exact mode (nothing to hide) or without look-ahead (no tail)."""
    if look_ahead_frames in (0, codec.hold_back_frames):
        return 0
    return round(CROSSFADE_FRAMES * codec.frame_samples)


def _decode_until(codec: Codec, state: CodecState, border: int, *, ended: bool) -> tuple[Tensor, Tensor]:
    """Audio from `state.frames_out` to the frame `border`, faded in from the tail, and the next tail after it."""
    if border == state.frames_out:
        return state.tail[..., :0], state.tail
    tail_samples = 0 if ended else crossfade_samples(codec, state.look_ahead_frames)
    window_start = state.frames_in - state.latents.shape[-1]
    audio = codec.decode_frames(
        state.latents,
        first_frame=state.frames_out - window_start,
        last_frame=border - window_start + -(-tail_samples // codec.frame_samples),
    )
    samples = (border - state.frames_out) * codec.frame_samples
    tail = audio[..., samples : samples + tail_samples].clone()
    return _fade_in(audio[..., :samples], state.tail), tail


def _require_rows(codec: Codec, latents: Tensor, batch: int) -> None:
    codec.require_latents(latents)
    if latents.shape[0] != batch:
        raise LmdmError(f"The stream has {batch} rows, got latents of {latents.shape[0]}.")


def _last_frames(latents: Tensor, frames: int) -> Tensor:
    """The last `frames` of `b c n`, or all; a copy, because a view would keep everything before them alive."""
    return latents[..., max(latents.shape[-1] - frames, 0) :].clone()


def _fade_in(audio: Tensor, tail: Tensor) -> Tensor:
    """`audio` with its first samples faded in from `tail` (`b ch s` both): raised cosine, gains that sum to one."""
    samples = tail.shape[-1]
    if not samples:
        return audio
    phase = (torch.arange(samples, device=audio.device, dtype=audio.dtype) + 0.5) * (math.pi / samples)
    gain = 0.5 - 0.5 * torch.cos(phase)
    return torch.cat((torch.lerp(tail, audio[..., :samples], gain), audio[..., samples:]), dim=-1)
