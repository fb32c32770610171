"""Oobleck autoencoder with a VAE bottleneck: audio to latents and back, with the parameter names of checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.convolution import Conv1d, ConvTranspose1d, Snake

RESIDUAL_KERNEL = 7
RESIDUAL_DILATIONS = (1, 3, 9)
EDGE_KERNEL = 7  # first and last convolution of both halves, but for the encoder's last
ENCODER_LAST_KERNEL = 3


@dataclass(frozen=True)
class OobleckConfig:
    """Shape of an Oobleck autoencoder; encoder and decoder mirror each other.

    `channels * c_mults[i]` is the width after stage i of the encoder, `strides[i]` its downsampling. `final_tanh` is
    the decoder's last layer (hosts mean true when a config leaves it out), `soft_clip` the autoencoder's own tanh after
    it (hosts write it beside the decoder's `type`).

    Raises LmdmError for a shape that does not fit together, and for options that the network does not know.
    """

    audio_channels: int = 2
    channels: int = 128
    c_mults: tuple[int, ...] = (1, 2, 4, 8, 16)
    strides: tuple[int, ...] = (2, 4, 4, 8, 8)
    latent_channels: int = 64
    use_snake: bool = True
    final_tanh: bool = False
    soft_clip: bool = False
    antialias_activation: bool = False
    use_nearest_upsample: bool = False

    def __post_init__(self) -> None:
        for name in ("c_mults", "strides"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._refuse_bad_sizes()
        for name in ("antialias_activation", "use_nearest_upsample"):
            if getattr(self, name):
                raise LmdmError(f"The Oobleck option {name}=true is not supported; only false is.")

    def _refuse_bad_sizes(self) -> None:
        if len(self.c_mults) != len(self.strides) or not self.strides:
            raise LmdmError(
                f"Oobleck needs as many c_mults as strides, at least one; got {self.c_mults} and {self.strides}."
            )
        sizes = (self.audio_channels, self.channels, self.latent_channels, *self.c_mults, *self.strides)
        if min(sizes) < 1:
            raise LmdmError(f"Oobleck sizes must be at least 1, got {min(sizes)} in {self}.")
        odd = [stride for stride in self.strides if stride % 2]
        if odd:
            raise LmdmError(f"Oobleck strides must be even, got {odd[0]} in {self.strides}.")

    @property
    def ratio(self) -> int:
        """Samples per frame."""
        return math.prod(self.strides)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at the audio end, then after each stage of the encoder."""
        return (self.channels, *(mult * self.channels for mult in self.c_mults))


class ResidualUnit(nn.Module):
    """`x + conv1(act(conv7(act(x))))`, `b c n -> b c n`."""

    def __init__(self, width: int, *, dilation: int, use_snake: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _activation(width, use_snake),
            Conv1d(width, width, kernel=RESIDUAL_KERNEL, dilation=dilation),
            _activation(width, use_snake),
            Conv1d(width, width, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class EncoderBlock(nn.Module):
    """Residual units, then a strided convolution: `b c (n stride) -> b c' n`."""

    def __init__(self, width: int, out_width: int, *, stride: int, use_snake: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_residual_units(width, use_snake),
            _activation(width, use_snake),
            Conv1d(width, out_width, kernel=2 * stride, stride=stride),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class DecoderBlock(nn.Module):
    """A transposed convolution, then residual units: `b c n -> b c' (n stride)`."""

    def __init__(self, width: int, out_width: int, *, stride: int, use_snake: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _activation(width, use_snake),
            ConvTranspose1d(width, out_width, stride=stride),
            *_residual_units(out_width, use_snake),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OobleckEncoder(nn.Module):
    """Audio to the statistics of latents, `b ch s -> b (2 c) n`: the mean and the raw scale, stacked."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        widths, snake = config.widths, config.use_snake
        stages = zip(widths[:-1], widths[1:], config.strides, strict=True)
        self.layers = nn.Sequential(
            Conv1d(config.audio_channels, widths[0], kernel=EDGE_KERNEL),
            *(EncoderBlock(width, out, stride=stride, use_snake=snake) for width, out, stride in stages),
            _activation(widths[-1], snake),
            Conv1d(widths[-1], 2 * config.latent_channels, kernel=ENCODER_LAST_KERNEL),
        )

    def forward(self, audio: Tensor) -> Tensor:
        return self.layers(audio)


class OobleckDecoder(nn.Module):
    """Latents to audio, `b c n -> b ch s`."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        widths, snake = config.widths, config.use_snake
        stages = reversed(list(zip(widths[1:], widths[:-1], config.strides, strict=True)))
        self.layers = nn.Sequential(
            Conv1d(config.latent_channels, widths[-1], kernel=EDGE_KERNEL),
            *(DecoderBlock(width, out, stride=stride, use_snake=snake) for width, out, stride in stages),
            _activation(widths[0], snake),
            Conv1d(widths[0], config.audio_channels, kernel=EDGE_KERNEL, bias=False),
            nn.Tanh() if config.final_tanh else nn.Identity(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)


class AudioAutoencoder(nn.Module):
    """Encoder, VAE bottleneck and decoder; keys `encoder.layers.*` and `decoder.layers.*`, the bottleneck has none."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = OobleckEncoder(config)
        self.decoder = OobleckDecoder(config)

    def encode_stats(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and raw scale of the latents, `b ch s -> 2 x b c n`; `stdev_of(scale)` gives the deviation."""
        mean, scale = self.encoder(audio).chunk(2, dim=1)
        return mean, scale

    def encode(self, audio: Tensor, *, noise: Tensor | None = None) -> Tensor:
        """Latents `b ch s -> b c n`: the mean, or with `noise` of that shape a draw from the posterior."""
        mean, scale = self.encode_stats(audio)
        return mean if noise is None else mean + stdev_of(scale) * noise

    def decode(self, latents: Tensor) -> Tensor:
        """Audio of latents, `b c n -> b ch (n ratio)`."""
        return self.clip(self.decoder(latents))

    def clip(self, audio: Tensor) -> Tensor:
        """The autoencoder's own last step, `b ch s -> b ch s`: a tanh with `soft_clip`, else nothing."""
        return torch.tanh(audio) if self.config.soft_clip else audio


def stdev_of(scale: Tensor) -> Tensor:
    """Standard deviation of the posterior from the encoder's raw scale (never below 1e-4)."""
    return F.softplus(scale) + 1e-4


def _activation(width: int, use_snake: bool) -> nn.Module:
    return Snake(width) if use_snake else nn.ELU()


def _residual_units(width: int, use_snake: bool) -> list[nn.Module]:
    return [ResidualUnit(width, dilation=dilation, use_snake=use_snake) for dilation in RESIDUAL_DILATIONS]
