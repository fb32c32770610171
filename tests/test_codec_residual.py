"""Low-latency decoding: small residuals at the borders, no click, and figures that mean what they say."""

from __future__ import annotations

import math

import pytest
import torch

from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_residual import border_residual_db, calibrated_look_ahead_frames
from lmdm_adapter.codec_stream import crossfade_samples, decode_step, low_latency_frames, start
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from tests.randomise import randomise

FRAMES = 48


@pytest.fixture(scope="module")
def codec() -> Codec:
    """Random weights with gains of a half: it decays with distance as a trained codec does, and forgets nothing."""
    config = OobleckConfig(
        audio_channels=1, channels=2, c_mults=(1, 1, 2, 2, 4), strides=(2, 4, 4, 8, 8), latent_channels=4
    )
    autoencoder = randomise(AudioAutoencoder(config), 4)
    with torch.no_grad():
        for name, parameter in autoencoder.named_parameters():
            if name.endswith("weight_g"):
                parameter.mul_(0.5)
    return Codec(autoencoder, 44100)


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    """A slow random walk: like music's, each latent resembles the one before."""
    noise = torch.randn(2, 4, FRAMES, generator=torch.Generator().manual_seed(0))
    walk = [noise[..., 0]]
    for frame in range(1, FRAMES):
        walk.append(0.9 * walk[-1] + math.sqrt(1 - 0.9**2) * noise[..., frame])
    return torch.stack(walk, dim=-1)


@torch.no_grad()
def test_the_default_look_ahead_is_inaudible_and_shorter_than_exact(codec, latents):
    look_ahead = low_latency_frames(codec)
    assert look_ahead < codec.hold_back_frames
    for block_frames in (1, 12, 47):
        assert border_residual_db(codec, latents, look_ahead_frames=look_ahead, block_frames=block_frames) <= -50


@torch.no_grad()
def test_more_look_ahead_is_nearer_the_exact_decode(codec, latents):
    residuals = [border_residual_db(codec, latents, look_ahead_frames=f, block_frames=12) for f in (0, 3, 6, 10)]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[0] > -50 and residuals[-1] < -110


@torch.no_grad()
def test_calibration_finds_the_least_look_ahead_that_keeps_the_promise(codec, latents):
    least = calibrated_look_ahead_frames(codec, latents, block_frames=12)
    assert 0 < least < codec.hold_back_frames
    assert border_residual_db(codec, latents, look_ahead_frames=least, block_frames=12) <= -50
    assert border_residual_db(codec, latents, look_ahead_frames=least - 1, block_frames=12) > -50
    assert calibrated_look_ahead_frames(codec, latents, block_frames=12, target_db=-1e9) == codec.hold_back_frames


@torch.no_grad()
def test_the_residual_counts_in_db_of_the_peak(codec, latents, monkeypatch):
    decode = codec.decode(latents)
    wrong = decode + 0.01 * decode.abs().max() * torch.ones_like(decode)
    monkeypatch.setattr(Codec, "decode", lambda self, latents: wrong)
    found = border_residual_db(codec, latents, look_ahead_frames=codec.hold_back_frames, block_frames=12)
    assert found == pytest.approx(20 * math.log10(0.01 * float(decode.abs().max() / wrong.abs().max())), abs=0.1)


@torch.no_grad()
def test_the_fade_starts_on_the_old_decode_and_ends_on_the_new(codec, latents):
    """No step at the border: the first sample after it comes from the decode before it, and gains sum to one."""
    look_ahead, samples = 2, crossfade_samples(codec, 2)
    _, state = decode_step(codec, start(codec, batch=2, look_ahead_frames=look_ahead), latents[..., :24])
    assert state.tail.shape[-1] == samples > 0
    audio, _ = decode_step(codec, state, latents[..., 24:36])
    fresh = codec.decode_frames(latents[..., :36], first_frame=22, last_frame=34)
    torch.testing.assert_close(audio[..., samples:], fresh[..., samples:], rtol=1e-5, atol=1e-6)
    gap = fresh[..., :samples] - state.tail
    gain = ((audio[..., :samples] - state.tail) / gap)[gap.abs() > 0.3 * gap.abs().max()]
    place = torch.linspace(0, 1, samples).expand_as(gap)[gap.abs() > 0.3 * gap.abs().max()]
    torch.testing.assert_close(gain, 0.5 - 0.5 * torch.cos(math.pi * place), rtol=0, atol=0.02)
    assert float((fresh[..., 0] - state.tail[..., 0]).abs().max()) > 1e-5
    torch.testing.assert_close(audio[..., 0], state.tail[..., 0], rtol=0, atol=1e-5)


def test_no_fade_where_there_is_nothing_to_hide_or_nothing_to_fade(codec):
    assert crossfade_samples(codec, codec.hold_back_frames) == crossfade_samples(codec, 0) == 0


@pytest.mark.parametrize("block_frames", [0, FRAMES])
def test_latents_without_a_border_are_refused(codec, latents, block_frames):
    with pytest.raises(LmdmError, match=f"blocks of {block_frames} frames"):
        border_residual_db(codec, latents, look_ahead_frames=4, block_frames=block_frames)
