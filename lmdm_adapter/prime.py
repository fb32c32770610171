"""Priming: the end of a real recording becomes the context of a stream."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.reach import encoder_hold_back_frames
from lmdm_adapter.resampling import fitted
from lmdm_adapter.spec import BlockSpec

PIECE_FRAMES = 48
"""What is encoded at once: ten seconds in one go take more memory than all of Stable Audio Open Small's weights."""


def prime_latents(codec: Codec, audio: Audio, spec: BlockSpec) -> Tensor:
    """Latents `1 c n` of the **last** context frames of `audio`, in whole blocks.

    Another rate or other channels are fitted to the codec's. A few frames more are encoded on the left, where the
    encoder still hears them, and cut off again. Raises LmdmError for no samples, NaN, less than one block, or sound
    that cannot be fitted.
    """
    _refuse_broken(audio)
    audio = fitted(audio, sample_rate=codec.sample_rate, channels=codec.channels)
    _refuse_short(codec, audio, spec)
    blocks = min(audio.samples.shape[1] // (codec.frame_samples * spec.block_frames), spec.context_blocks)
    frames = blocks * spec.block_frames
    reach = encoder_hold_back_frames(codec.autoencoder.config)
    heard = min(frames + reach, audio.samples.shape[1] // codec.frame_samples)
    samples = torch.from_numpy(audio.samples[:, -heard * codec.frame_samples :].copy())
    sound = samples[None].to(device=codec.device, dtype=codec.dtype)
    latents = codec.encode_in_pieces(sound, piece_frames=PIECE_FRAMES)
    return latents[..., -frames:].float().contiguous()


def _refuse_broken(audio: Audio) -> None:
    if audio.samples.size == 0:
        raise LmdmError("The prefix is empty; give at least one block of audio.")
    if not np.isfinite(audio.samples).all():
        raise LmdmError("The prefix holds NaN or infinite samples; export it again.")


def _refuse_short(codec: Codec, audio: Audio, spec: BlockSpec) -> None:
    block_samples = codec.frame_samples * spec.block_frames
    if audio.samples.shape[1] < block_samples:
        seconds = block_samples / codec.sample_rate
        raise LmdmError(f"The prefix lasts {audio.seconds:.3f} s; it must be at least one block, {seconds:.3f} s.")
