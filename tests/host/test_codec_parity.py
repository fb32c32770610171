"""Law 1 for the codec: our autoencoder is the host's own, key by key and sample by sample."""

from __future__ import annotations

import copy

import configs
import pytest
import torch
from torch import nn

from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig, stdev_of
from tests.randomise import randomise

SHAPES = {
    "snake": OobleckConfig(channels=4, c_mults=(1, 2, 4), strides=(2, 4, 8), latent_channels=6),
    "five stages": OobleckConfig(channels=2, c_mults=(1, 1, 2, 2, 4), strides=(2, 4, 4, 8, 8), latent_channels=3),
    "mono": OobleckConfig(audio_channels=1, channels=4, c_mults=(2, 2), strides=(4, 6), latent_channels=3),
    "elu, tanh": OobleckConfig(
        channels=4, c_mults=(1, 2), strides=(2, 4), latent_channels=3, use_snake=False, final_tanh=True
    ),
    "soft clip": OobleckConfig(channels=4, c_mults=(1, 2), strides=(2, 4), latent_channels=3, soft_clip=True),
}


def host_config(config: OobleckConfig) -> dict:
    """The same shape as a host's `autoencoder` model config."""
    pretransform = copy.deepcopy(configs.oobleck())["config"]
    shape = {
        "channels": config.channels,
        "c_mults": list(config.c_mults),
        "strides": list(config.strides),
        "use_snake": config.use_snake,
    }
    audio, latent = config.audio_channels, config.latent_channels
    pretransform["encoder"]["config"] = {"in_channels": audio, "latent_dim": 2 * latent, **shape}
    pretransform["decoder"]["config"] = {
        "out_channels": audio,
        "latent_dim": latent,
        "final_tanh": config.final_tanh,
        **shape,
    }
    pretransform |= {"latent_dim": latent, "downsampling_ratio": config.ratio, "io_channels": audio}
    pretransform["decoder"]["soft_clip"] = config.soft_clip
    return {"model_type": "autoencoder", "sample_rate": 44100, "sample_size": 4096, "model": pretransform}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(ours: torch.Tensor, host: torch.Tensor, tolerance: float) -> None:
    assert ours.shape == host.shape
    assert float((ours - host).abs().max()) <= tolerance * float(host.abs().max())


@pytest.fixture(params=SHAPES)
def pair(request) -> tuple[AudioAutoencoder, nn.Module]:
    """Ours with weights drawn anew, and the host's with the same, both loaded strictly."""
    from stable_audio_tools.models.factory import create_model_from_config

    config = SHAPES[request.param]
    host = create_model_from_config(host_config(config)).eval()
    ours = randomise(AudioAutoencoder(config), 7)
    host.load_state_dict(ours.state_dict(), strict=True)
    return ours, host


def test_keys_and_shapes_are_the_hosts(pair):
    ours, host = pair
    shapes = {name: tensor.shape for name, tensor in host.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes
    again = AudioAutoencoder(ours.config)
    again.load_state_dict(host.state_dict(), strict=True)
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in again.state_dict().items())


@torch.no_grad()
def test_decode_is_the_hosts(pair):
    ours, host = (model.double() for model in pair)
    latents = noise(2, ours.config.latent_channels, 12)
    decoded = ours.decode(latents)
    assert_same(decoded, host.decode(latents), 1e-9)
    assert_same(pair[0].float().decode(latents.float()).double(), decoded, 1e-3)
    bumped = latents.clone()
    bumped[..., 3] += 1
    assert float((ours.double().decode(bumped) - decoded).abs().max()) > 1e-2


@torch.no_grad()
def test_latents_are_the_hosts_before_and_after_the_bottleneck(pair, monkeypatch):
    ours, host = (model.double() for model in pair)
    audio = noise(2, ours.config.audio_channels, 12 * ours.config.ratio)
    mean, scale = ours.encode_stats(audio)
    assert_same(torch.cat([mean, scale], dim=1), host.encode(audio, skip_bottleneck=True), 1e-9)
    draw = noise(*mean.shape, seed=9)
    monkeypatch.setattr(torch, "randn_like", lambda like: draw)
    drawn = host.encode(audio)
    assert_same(ours.encode(audio, noise=draw), drawn, 1e-9)
    assert_same(mean + stdev_of(scale) * draw, drawn, 1e-9)
    assert float((ours.encode(audio) - drawn).abs().max()) > 1e-2
    assert float((ours.encode(audio.flip(-1)) - mean).abs().max()) > 1e-2


@torch.no_grad()
def test_float32_agrees_to_1e_5_at_gains_that_do_not_amplify_rounding(pair):
    ours, host = pair
    for name, parameter in ours.named_parameters():
        if name.endswith("weight_g"):
            parameter.mul_(0.5)
    host.load_state_dict(ours.state_dict(), strict=True)
    latents = noise(2, ours.config.latent_channels, 12).float()
    audio = noise(2, ours.config.audio_channels, 12 * ours.config.ratio).float()
    assert_same(ours.decode(latents), host.decode(latents), 1e-5)
    assert_same(ours.encoder(audio), host.encode(audio, skip_bottleneck=True), 1e-5)
