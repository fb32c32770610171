"""What a model is held against: real audio spoiled in known ways, and the network before it learned anything."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel

LOOP_SECONDS = 2
FADE_SECONDS = 0.004


def untrained(live: LiveModel, *, seed: int) -> LiveModel:
    """`live` with every weight of its DiT drawn anew: the same spec, sampling, prompts and trained codec.

    Matrices and kernels are normal, scaled by `1 / sqrt(fan_in)`, so that no output is zero as in a fresh host.
    """
    network = copy.deepcopy(live.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.dit.named_parameters():
            parameter.copy_(_drawn(name, parameter, generator))
    return LiveModel(network, live.section, live.host_config)


def frame_shuffled(audio: Audio, rng: np.random.Generator, *, frame_samples: int) -> Audio:
    """`audio` cut into pieces of one codec frame, in random order: its sound without its music.

    The ends of pieces are faded over 4 ms, so that the order is judged and not the clicks. Raises LmdmError for audio
    shorter than two frames.
    """
    frames = audio.samples.shape[1] // frame_samples
    if frames < 2:
        raise LmdmError(f"Shuffling frames of {frame_samples} samples needs at least two, got {audio}.")
    whole, rest = np.split(audio.samples, [frames * frame_samples], axis=1)
    pieces = whole.reshape(audio.channels, frames, frame_samples)[:, rng.permutation(frames)]
    faded = pieces * _fades(frame_samples, audio.sample_rate)
    return Audio(np.concatenate((faded.reshape(audio.channels, -1), rest), axis=1), audio.sample_rate)


def looped(audio: Audio, rng: np.random.Generator) -> Audio:
    """2 s of `audio` from a random place, repeated to its length. Raises LmdmError for audio shorter than 2 s."""
    samples, loop_samples = audio.samples.shape[1], LOOP_SECONDS * audio.sample_rate
    if samples < loop_samples:
        raise LmdmError(f"A loop needs at least {LOOP_SECONDS} s of audio, got {audio.seconds:.3f} s.")
    start = int(rng.integers(samples - loop_samples + 1))
    loop = audio.samples[:, start : start + loop_samples]
    return Audio(np.tile(loop, -(-samples // loop_samples))[:, :samples], audio.sample_rate)


def coded(codec: Codec, audio: Audio) -> Audio:
    """`audio` through the codec and back: what a model that makes perfect latents would sound like."""
    samples = audio.samples.shape[1]
    padded = np.pad(audio.samples, ((0, 0), (0, -samples % codec.frame_samples)))
    with torch.inference_mode():
        latents = codec.encode_in_pieces(torch.from_numpy(padded)[None].to(codec.device, codec.dtype))
        decoded = codec.decode_in_pieces(latents)[0, :, :samples]
    return Audio(decoded.float().cpu().numpy(), audio.sample_rate)


def _drawn(name: str, parameter: nn.Parameter, generator: torch.Generator) -> Tensor:
    if parameter.ndim < 2:
        gain = name.endswith(("gamma", "weight"))
        return torch.full_like(parameter, 1.0 if gain else 0.0)
    return torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter[0].numel())


def _fades(frame_samples: int, sample_rate: int) -> np.ndarray:
    """The gain over one piece: raised cosine in and out."""
    fade = min(max(1, round(FADE_SECONDS * sample_rate)), frame_samples // 2)
    gain = np.ones(frame_samples, dtype=np.float32)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1))
    gain[:fade], gain[frame_samples - fade :] = rise, rise[::-1]
    return gain
