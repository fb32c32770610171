"""How far Oobleck's convolutions see, from kernel sizes, and decoding no more than that sight needs.

Positions at a layer are integers counted at that layer's rate. An even stride `s` has a kernel of `2 s` padded by
`s / 2`, so position `o` after upsampling hears the positions `i` with `i s - s/2 <= o <= i s + 3s/2 - 1`.
"""

from __future__ import annotations

from itertools import accumulate
from operator import mul

from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import (
    EDGE_KERNEL,
    ENCODER_LAST_KERNEL,
    RESIDUAL_DILATIONS,
    RESIDUAL_KERNEL,
    AudioAutoencoder,
    OobleckConfig,
)

EDGE_REACH = EDGE_KERNEL // 2
RESIDUAL_REACH = RESIDUAL_KERNEL // 2 * sum(RESIDUAL_DILATIONS)


def decoder_reach_frames(config: OobleckConfig) -> float:
    """Half width of the decoder's sight, in frames: how far a latent's centre may lie from a sample that hears it."""
    rates = tuple(accumulate(reversed(config.strides), mul, initial=1))
    stages = sum(1 / low + RESIDUAL_REACH / high for low, high in zip(rates[:-1], rates[1:], strict=True))
    return EDGE_REACH + stages + EDGE_REACH / config.ratio


def encoder_reach_frames(config: OobleckConfig) -> float:
    """Half width of the encoder's sight, in frames: how far a sample may lie from the centre of a latent it changes."""
    rates = tuple(accumulate(reversed(config.strides), mul, initial=1))
    stages = sum(1 / low + RESIDUAL_REACH / high for low, high in zip(rates[:-1], rates[1:], strict=True))
    return ENCODER_LAST_KERNEL // 2 + stages + EDGE_REACH / config.ratio


def decoder_hold_back_frames(config: OobleckConfig) -> int:
    """Later frames that the audio of a frame depends on; as many earlier ones (10 for Stable Audio Open)."""
    return _decoder_spans(config, 0, 1)[0][1] - 1


def encoder_hold_back_frames(config: OobleckConfig) -> int:
    """Later whole frames of audio that a latent depends on (8 for Stable Audio Open)."""
    position = ENCODER_LAST_KERNEL // 2
    for stride in reversed(config.strides):
        position = position * stride + 3 * stride // 2 - 1 + RESIDUAL_REACH
    return -(-(position + EDGE_REACH + 1 - config.ratio) // config.ratio)


def decode_window(autoencoder: AudioAutoencoder, latents: Tensor, *, first_frame: int, last_frame: int) -> Tensor:
    """Audio of frames `first_frame` up to `last_frame` (excluded) of `autoencoder.decode(latents)`: `b c n -> b ch s`.

    Every stage computes only the positions that the wanted samples hear: a margin of about ten frames at the cheap
    frame rate and of hundredths of a frame at the dear audio rate, where decoding all and cutting pays ten throughout.

    Raises LmdmError when the frames do not lie within the latents.
    """
    if not 0 <= first_frame < last_frame <= latents.shape[-1]:
        raise LmdmError(f"Frames {first_frame} to {last_frame} do not lie within {latents.shape[-1]} latent frames.")
    config = autoencoder.config
    layers = autoencoder.decoder.layers
    stages = [layers[0], *layers[1 : 1 + len(config.strides)], layers[1 + len(config.strides) :]]
    strides = (1, *reversed(config.strides), 1)
    x, start, length = latents, 0, latents.shape[-1]
    for stage, stride, (first, last) in zip(
        stages, strides, _decoder_spans(config, first_frame, last_frame), strict=True
    ):
        # Beyond the true ends there is nothing to cut: there the convolution pads with zeros, as in the whole decode.
        first, last = max(first, 0), min(last, length)
        x = stage(x[..., first - start : last - start])
        start, length = first * stride, length * stride
    wanted = x[..., first_frame * config.ratio - start : last_frame * config.ratio - start]
    return autoencoder.clip(wanted)


def _decoder_spans(config: OobleckConfig, first_frame: int, last_frame: int) -> list[tuple[int, int]]:
    """Positions `[first, last)` that the audio of the frames needs at the input of each decoder stage, first to last.

    The stages are the first convolution, one per stride, and the last convolution; nothing is cut at the ends.
    """
    first, last = first_frame * config.ratio - EDGE_REACH, last_frame * config.ratio - 1 + EDGE_REACH
    spans = [(first, last + 1)]
    for stride in config.strides:
        first = -((3 * stride // 2 - 1 - (first - RESIDUAL_REACH)) // stride)
        last = (last + RESIDUAL_REACH + stride // 2) // stride
        spans.append((first, last + 1))
    spans.append((first - EDGE_REACH, last + EDGE_REACH + 1))
    return spans[::-1]
