"""How far the convolutions see: the numbers from kernel sizes are what changing one position does."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.network.reach import (
    decode_window,
    decoder_hold_back_frames,
    decoder_reach_frames,
    encoder_hold_back_frames,
    encoder_reach_frames,
)
from tests.randomise import randomise

SHAPES = {
    "stable audio": ((1, 1, 1, 2, 2), (2, 4, 4, 8, 8)),
    "three stages": ((1, 1, 2), (8, 8, 16)),
    "uneven": ((1, 2, 2), (6, 2, 4)),
    "one stage": ((1,), (2,)),
}


def build(name: str) -> AudioAutoencoder:
    c_mults, strides = SHAPES[name]
    config = OobleckConfig(audio_channels=1, channels=2, c_mults=c_mults, strides=strides, latent_channels=2)
    return randomise(AudioAutoencoder(config).double(), 5)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def changed(before: torch.Tensor, after: torch.Tensor) -> tuple[int, int]:
    """First and last position (of the last axis) where two results differ."""
    positions = (before != after).flatten(0, 1).any(dim=0).nonzero().flatten()
    return int(positions[0]), int(positions[-1])


def test_stable_audio_shape_has_the_known_reach():
    config = OobleckConfig()
    assert decoder_reach_frames(config) == pytest.approx(9.84, abs=0.005)
    assert encoder_reach_frames(config) == pytest.approx(7.84, abs=0.005)
    assert (decoder_hold_back_frames(config), encoder_hold_back_frames(config)) == (10, 8)


@torch.no_grad()
@pytest.mark.parametrize("name", SHAPES)
def test_a_latent_is_heard_exactly_within_the_decoders_reach(name):
    autoencoder = build(name)
    ratio, held = autoencoder.config.ratio, decoder_hold_back_frames(autoencoder.config)
    middle = held + 2
    latents = noise(1, 2, 2 * middle + 1)
    bumped = latents.clone()
    bumped[..., middle] += 0.5
    first, last = changed(autoencoder.decode(latents), autoencoder.decode(bumped))
    assert (first // ratio, last // ratio) == (middle - held, middle + held)
    centre = (middle + 0.5) * ratio
    reach_samples = decoder_reach_frames(autoencoder.config) * ratio
    assert reach_samples - ratio < centre - first <= reach_samples + ratio


@torch.no_grad()
@pytest.mark.parametrize("name", SHAPES)
def test_a_sample_changes_latents_exactly_within_the_encoders_reach(name):
    autoencoder = build(name)
    ratio, held = autoencoder.config.ratio, encoder_hold_back_frames(autoencoder.config)
    middle = held + 2
    audio = noise(1, 1, (2 * middle + 1) * ratio)
    reaches = []
    for sample in (middle * ratio, (middle + 1) * ratio - 1):
        bumped = audio.clone()
        bumped[..., sample] += 0.5
        first, last = changed(autoencoder.encode(audio), autoencoder.encode(bumped))
        reaches += [middle - first, last - middle]
    assert max(reaches) == held
    assert held - 1 <= encoder_reach_frames(autoencoder.config) <= held + 0.5


@torch.no_grad()
@pytest.mark.parametrize("name", SHAPES)
def test_a_window_is_cut_from_the_whole_decode(name):
    autoencoder = build(name)
    ratio, held = autoencoder.config.ratio, decoder_hold_back_frames(autoencoder.config)
    frames = 2 * held + 5
    latents = noise(2, 2, frames)
    whole = autoencoder.decode(latents)
    for first, last in ((0, 1), (0, frames), (frames - 1, frames), (held, held + 3), (2, frames - 2)):
        window = decode_window(autoencoder, latents, first_frame=first, last_frame=last)
        torch.testing.assert_close(
            window, whole[..., first * ratio : last * ratio], rtol=0, atol=1e-9 * float(whole.abs().max())
        )


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (2, 2), (0, 6), (3, 1)])
def test_frames_outside_the_latents_are_refused(first, last):
    with pytest.raises(LmdmError, match="do not lie within 5"):
        decode_window(build("one stage"), noise(1, 2, 5), first_frame=first, last_frame=last)
