"""What low-latency decoding and encoding cost: their distance from the exact ones, and the least look-ahead for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lmdm_adapter import codec_encode_stream
from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_stream import decode_step, flush, start
from lmdm_adapter.errors import LmdmError

INAUDIBLE_DB = -50.0
SILENT_DB = -200.0


def border_residual_db(codec: Codec, latents: Tensor, *, look_ahead_frames: int, block_frames: int) -> float:
    """Largest distance of the streamed audio of `latents` (`b c n`) from their exact decode, in dB of its peak.

    Latents come in blocks of `block_frames`; the distance is largest where blocks meet. Give latents of music, at least
    some blocks long: noise has nothing in common with its future. Never below -200 dB.
    Raises LmdmError for latents that are not longer than a block, and as `start` does.
    """
    return _residual_db(codec, latents, codec.decode(latents), look_ahead_frames, block_frames)


def calibrated_look_ahead_frames(
    codec: Codec, latents: Tensor, *, block_frames: int, target_db: float = INAUDIBLE_DB
) -> int:
    """The least look-ahead from which on every residual (see `border_residual_db`) is at most `target_db`.

    Costs one decode of `latents` per frame of hold-back; do it once per codec. Raises LmdmError as above.
    """
    exact = codec.decode(latents)
    look_ahead = codec.hold_back_frames
    while look_ahead and _residual_db(codec, latents, exact, look_ahead - 1, block_frames) <= target_db:
        look_ahead -= 1
    return look_ahead


def encode_residual_db(codec: Codec, audio: Tensor, *, look_ahead_frames: int, hop_frames: int = 1) -> float:
    """Largest distance of the streamed latents of `audio` (`b ch s`) from the one-shot encode, in dB of its peak.

    Every latent leaves `look_ahead_frames` after its audio, or up to a hop later. Never below -200 dB.
    Raises LmdmError as `codec_encode_stream.start` and `Codec.encode` do.
    """
    exact = codec.encode(audio)
    state = codec_encode_stream.start(
        codec, batch=len(audio), look_ahead_frames=look_ahead_frames, hop_frames=hop_frames
    )
    latents, _ = codec_encode_stream.encode_step(codec, state, audio)
    return _db(latents - exact[..., : latents.shape[-1]], exact)


def _residual_db(codec: Codec, latents: Tensor, exact: Tensor, look_ahead_frames: int, block_frames: int) -> float:
    if not 1 <= block_frames < latents.shape[-1]:
        raise LmdmError(
            f"Borders need latents longer than a block of at least 1 frame; got blocks of {block_frames} frames "
            f"and {latents.shape[-1]} latent frames."
        )
    state = start(codec, batch=latents.shape[0], look_ahead_frames=look_ahead_frames)
    pieces = []
    for block in latents.split(block_frames, dim=-1):
        audio, state = decode_step(codec, state, block)
        pieces.append(audio)
    pieces.append(flush(codec, state)[0])
    return _db(torch.cat(pieces, dim=-1) - exact, exact)


def _db(residual: Tensor, reference: Tensor) -> float:
    ratio = float(residual.abs().max()) / max(float(reference.abs().max()), 1e-12)
    return max(20.0 * math.log10(max(ratio, 1e-12)), SILENT_DB)
