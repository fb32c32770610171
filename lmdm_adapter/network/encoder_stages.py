"""Oobleck's encoder as stages that hear only so far, so that audio can be encoded as it comes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from lmdm_adapter.network.oobleck import EDGE_KERNEL, ENCODER_LAST_KERNEL, AudioAutoencoder
from lmdm_adapter.network.reach import RESIDUAL_REACH


class EncoderStage(NamedTuple):
    """Part of the encoder: output o hears the inputs from `o stride - before` to `o stride + after`."""

    module: nn.Module
    stride: int
    before: int
    after: int

    def settled(self, inputs: int) -> int:
        """How many outputs hear nothing beyond the first `inputs` inputs."""
        return max(0, (inputs - 1 - self.after) // self.stride + 1)

    def first_input(self, output: int) -> int:
        """The first input to keep for this output: what it hears, from a whole number of strides on."""
        return max(0, (output * self.stride - self.before) // self.stride * self.stride)

    def outputs(self, inputs: Tensor, *, start: int, first: int, last: int) -> Tensor:
        """Outputs `first` up to `last` (excluded) of inputs `b c p`, the first of which is at position `start`.

        Where the inputs end, the convolutions pad with zeros: right at the true ends, and where nobody listens.
        """
        offset = start // self.stride
        return self.module(inputs)[..., first - offset : last - offset]


def encoder_stages(autoencoder: AudioAutoencoder) -> tuple[EncoderStage, ...]:
    """The encoder's stages, audio first: a convolution, one stage per stride, and what makes latents of the last."""
    layers, strides = autoencoder.encoder.layers, autoencoder.config.strides
    edge, last = EDGE_KERNEL // 2, ENCODER_LAST_KERNEL // 2
    return (
        EncoderStage(layers[0], 1, edge, edge),
        *(
            EncoderStage(layer, stride, stride // 2 + RESIDUAL_REACH, 3 * stride // 2 - 1 + RESIDUAL_REACH)
            for layer, stride in zip(layers[1 : 1 + len(strides)], strides, strict=True)
        ),
        EncoderStage(layers[1 + len(strides) :], 1, last, last),
    )
