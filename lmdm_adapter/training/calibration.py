"""A start for the codec at which signals already pass: layer-wise scaling on data (LSUV, Mishkin and Matas 2016).

With the usual initialisation latents begin at a deviation of 0.02 beside posterior noise of 0.7: the decoder hears
noise alone, and a short training spends much of its time on getting out of that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmdm_adapter.network.convolution import Conv1d, ConvTranspose1d
from lmdm_adapter.network.oobleck import AudioAutoencoder, DecoderBlock, EncoderBlock

FIRST_RAW_SCALE = -3.0  # softplus(-3) = 0.05: posterior noise well below the latents' unit deviation


@torch.no_grad()
def calibrate(autoencoder: AudioAutoencoder, audio: Tensor) -> None:
    """Rescale the convolutions between stages, in place, so that on `audio` (`b 1 s`) every stage has unit deviation.

    Latents have unit deviation too, and the decoder's output has that of the audio. Residual branches stay as they are.
    """
    latents = _calibrate_encoder(autoencoder, audio)
    _calibrate_decoder(autoencoder, latents, deviation=float(audio.std()))


def _calibrate_encoder(autoencoder: AudioAutoencoder, x: Tensor) -> Tensor:
    channels = autoencoder.config.latent_channels
    layers = list(autoencoder.encoder.layers)
    for layer in layers:
        if isinstance(layer, EncoderBlock):
            *inner, last = layer.layers
            x = _normalise(last, _through(inner, x))
        else:
            x = _normalise(layer, x) if isinstance(layer, Conv1d) else layer(x)
    layers[-1].bias[channels:] = FIRST_RAW_SCALE
    layers[-1].weight_g[channels:] *= 0.1
    return x[:, :channels]


def _calibrate_decoder(autoencoder: AudioAutoencoder, x: Tensor, *, deviation: float) -> None:
    layers = [layer for layer in autoencoder.decoder.layers if not isinstance(layer, nn.Identity | nn.Tanh)]
    for layer in layers:
        if isinstance(layer, DecoderBlock):
            activation, first, *inner = layer.layers
            x = _through(inner, _normalise(first, activation(x)))
        elif isinstance(layer, Conv1d):
            x = _normalise(layer, x, deviation=deviation if layer is layers[-1] else 1.0)
        else:
            x = layer(x)


def _through(layers: list[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _normalise(layer: Conv1d | ConvTranspose1d, x: Tensor, *, deviation: float = 1.0) -> Tensor:
    """Give the output of a convolution on `x` zero mean per channel and `deviation` overall; returns that output."""
    factor = deviation / layer(x).std()
    layer.weight_g.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)
        layer.bias.sub_(layer(x).mean((0, 2)))
    return layer(x)
