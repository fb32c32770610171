"""The codec's shapes, numbers and refusals, and that its random weights make it listen."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.convolution import folded
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig, stdev_of
from tests.randomise import randomise

CONFIG = OobleckConfig(channels=4, c_mults=(1, 2), strides=(2, 4), latent_channels=3)


@pytest.fixture
def codec() -> Codec:
    return Codec(randomise(AudioAutoencoder(CONFIG), 1), 44100, scale=0.5)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_shapes_and_numbers(codec):
    audio = noise(2, 2, 40)
    latents = codec.encode(audio)
    assert latents.shape == (2, 3, 5)
    assert codec.decode(latents).shape == audio.shape
    assert (codec.frame_samples, codec.channels, codec.latent_channels) == (8, 2, 3)
    assert codec.frame_rate_hz == 44100 / 8


@torch.no_grad()
def test_scale_divides_latents_and_cancels_in_a_round_trip(codec):
    plain = Codec(codec.autoencoder, 44100)
    audio = noise(1, 2, 40)
    torch.testing.assert_close(codec.encode(audio), plain.encode(audio) * 2)
    torch.testing.assert_close(codec.decode(codec.encode(audio)), plain.decode(plain.encode(audio)))


@torch.no_grad()
def test_noise_draws_from_the_posterior(codec):
    audio, draw = noise(1, 2, 40), noise(1, 3, 5, seed=2)
    mean, scale = codec.autoencoder.encode_stats(audio)
    assert torch.equal(codec.autoencoder.encode(audio), mean)
    torch.testing.assert_close(codec.autoencoder.encode(audio, noise=draw), mean + stdev_of(scale) * draw)
    assert (stdev_of(scale) >= 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"use_snake": False}, {"final_tanh": True}, {"soft_clip": True}])
def test_folding_changes_nothing_but_the_work(options):
    autoencoder = randomise(AudioAutoencoder(OobleckConfig(channels=4, c_mults=(1,), strides=(2,), **options)), 3)
    before = {name: tensor.clone() for name, tensor in autoencoder.state_dict().items()}
    audio = noise(1, 2, 20)
    quick = folded(autoencoder)
    torch.testing.assert_close(quick.encode(audio), autoencoder.encode(audio))
    torch.testing.assert_close(quick.decode(quick.encode(audio)), autoencoder.decode(autoencoder.encode(audio)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in autoencoder.state_dict().items())
    assert not any("weight_v" in name for name in quick.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("option", ["final_tanh", "soft_clip"])
def test_each_tanh_bounds_the_output(option):
    plain = OobleckConfig(channels=4, c_mults=(1,), strides=(2,))
    bounded = OobleckConfig(channels=4, c_mults=(1,), strides=(2,), **{option: True})
    latents = 5 * noise(1, 64, 8)
    free, bound = (randomise(AudioAutoencoder(config), 3).decode(latents) for config in (plain, bounded))
    assert free.abs().max() > 1
    torch.testing.assert_close(bound, free.tanh())


def test_every_parameter_gets_a_gradient():
    autoencoder = AudioAutoencoder(CONFIG)
    audio = noise(1, 2, 80)
    autoencoder.decode(autoencoder.encode(audio, noise=noise(1, 3, 10))).square().mean().backward()
    silent = [name for name, p in autoencoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_gain_starts_at_the_norm_of_the_direction():
    layer = AudioAutoencoder(CONFIG).decoder.layers[0]
    torch.testing.assert_close(layer.kernel(), layer.weight_v)
    with torch.no_grad():
        layer.weight_v.mul_(7)
        torch.testing.assert_close(layer.kernel(), layer.weight_v / 7)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"strides": (3, 4)}, "3"),
        ({"strides": (2,)}, "strides"),
        ({"antialias_activation": True}, "antialias_activation"),
        ({"use_nearest_upsample": True}, "use_nearest_upsample"),
        ({"latent_channels": 0}, "at least 1"),
    ],
)
def test_bad_shapes_are_refused_by_name(changes, word):
    with pytest.raises(LmdmError, match=word):
        OobleckConfig(**{"channels": 4, "c_mults": (1, 2), "strides": (2, 4), **changes})


def test_bad_input_is_refused_with_a_cure(codec):
    with pytest.raises(LmdmError, match="48"):
        codec.encode(noise(1, 2, 41))
    with pytest.raises(LmdmError, match="8"):
        codec.encode(noise(1, 2, 0))
    with pytest.raises(LmdmError, match="shape"):
        codec.encode(noise(1, 1, 40))
    with pytest.raises(LmdmError, match="shape"):
        codec.decode(noise(1, 4, 5))
    with pytest.raises(LmdmError, match="scale"):
        Codec(codec.autoencoder, 44100, scale=0.0)
    with pytest.raises(LmdmError, match="rate"):
        Codec(codec.autoencoder, 0)
