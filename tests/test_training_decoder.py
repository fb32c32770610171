"""Sharpening a decoder: the encoder stays, gradients do not mix, the result goes into models that share the encoder."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lmdm_adapter as lmdm
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig, stdev_of
from lmdm_adapter.recipes import bundle, decoder
from lmdm_adapter.recipes.decoder import DecoderRecipe
from lmdm_adapter.training.codec_files import CodecFacts, find_codec, load_codec, save_codec
from lmdm_adapter.training.decoder_objective import DecoderObjective, DecoderWeights
from lmdm_adapter.training.loop import LoopConfig
from lmdm_adapter.training.spectral_judge import (
    SpectralJudge,
    SpectralJudgeConfig,
    deception,
    discrimination,
    feature_distance,
)
from tests.models import tiny_live

RATE = 8000
SHAPE = OobleckConfig(audio_channels=1, channels=4, c_mults=(2, 4), strides=(8, 8), latent_channels=4)
SMALL = SpectralJudgeConfig(windows_samples=(256, 128), channels=3, layers=2)


def sound(seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(2, 1, 2048, generator=torch.Generator().manual_seed(seed))


SOON = DecoderWeights(warmup_steps=1)


def objective(weights: DecoderWeights = SOON) -> DecoderObjective:
    torch.manual_seed(0)
    return DecoderObjective(AudioAutoencoder(SHAPE), SMALL, sample_rate=RATE, weights=weights, seed=0)


def gradients(module: nn.Module) -> list[Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


def test_the_encoder_gets_no_gradient_and_all_else_does() -> None:
    trained = objective()
    trained(sound(), 5)["loss"].backward()
    assert not gradients(trained.autoencoder.encoder)
    for part in (trained.autoencoder.decoder, trained.discriminator):
        assert all(grad.abs().sum() > 0 for grad in gradients(part))
        assert len(gradients(part)) == len(list(part.parameters()))


def test_the_judge_learns_from_its_own_loss_alone() -> None:
    """The decoder's terms pass through the judge without leaving a gradient in it."""
    trained = objective()
    losses = trained(sound(), 5)
    judge = list(trained.discriminator.parameters())
    alone = torch.autograd.grad(losses["judge"], judge, retain_graph=True)
    mixed = torch.autograd.grad(losses["loss"], judge, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(alone, mixed, strict=True))
    assert any(grad.abs().sum() > 0 for grad in alone)


def test_the_decoder_does_not_help_the_judge() -> None:
    trained = objective()
    losses, weights = trained(sound(), 5), list(trained.autoencoder.decoder.parameters())
    helped = torch.autograd.grad(losses["judge"], weights, retain_graph=True, allow_unused=True)
    assert all(grad is None for grad in helped)
    deceived = torch.autograd.grad(losses["adversarial"], weights, allow_unused=True)
    assert any(grad is not None and grad.abs().sum() > 0 for grad in deceived)


def test_adversarial_terms_grow_from_zero() -> None:
    trained = objective(DecoderWeights(warmup_steps=10))
    silent = objective(DecoderWeights(adversarial=0.0, features=0.0, warmup_steps=10))
    assert trained(sound(), 0)["loss"].item() == pytest.approx(silent(sound(), 0)["loss"].item())
    assert trained(sound(), 10)["loss"].item() > silent(sound(), 10)["loss"].item() + 0.1


def test_the_decoder_hears_the_noise_of_the_posterior() -> None:
    """Latents differ from step to step by the encoder's own deviation, and repeat with the step."""
    trained = objective()
    first, again, other = (trained._latents(sound(), step) for step in (1, 1, 2))
    mean, scale = trained.autoencoder.encode_stats(sound())
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert near((first - mean).std(), stdev_of(scale).square().mean().sqrt(), share=0.3)


def near(one: Tensor, other: Tensor, *, share: float) -> bool:
    """Whether two tensors differ by less than a share of their largest value."""
    return float((one - other).abs().max()) < share * float(other.abs().max())


def test_scores_of_a_perfect_and_a_fooled_judge() -> None:
    ones, zeros = [[torch.ones(1, 1, 2, 2)]], [[torch.zeros(1, 1, 2, 2)]]
    assert discrimination(ones, zeros).item() == 0.0 and discrimination(zeros, ones).item() == 2.0
    assert deception(ones).item() == 0.0 and deception(zeros).item() == 1.0


def test_feature_distance_is_zero_for_the_same_sound_alone() -> None:
    judge = SpectralJudge(SMALL)
    assert feature_distance(judge(sound()), judge(sound())).item() == 0.0
    assert feature_distance(judge(sound()), judge(sound(1))).item() > 0.01


def test_impossible_judges_are_refused() -> None:
    for bad in ({"windows_samples": ()}, {"channels": 0}, {"layers": 0}):
        with pytest.raises(LmdmError, match="at least 1"):
            SpectralJudgeConfig(**bad)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec, and a decoder that was sharpened for a few steps."""
    folder = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(1)
    save_codec(folder / "codec", CodecFacts(SHAPE, RATE, 0.7), AudioAutoencoder(SHAPE).state_dict())
    assert decoder.run(recipe(folder)).finished
    return folder


def recipe(folder: Path, name: str = "sharp") -> DecoderRecipe:
    loop = LoopConfig(
        steps=4, learning_rate=1e-2, warmup_steps=1, average_decay=0.5, validate_every_steps=2, sample_every_steps=2,
        cpu=True,
    )  # fmt: skip
    return DecoderRecipe(
        output=str(folder / name), codec=str(folder / "codec"), songs=str(folder / "songs"), train_songs=2,
        held_out_songs=1, song_seconds=1.0, batch_size=2, crop_frames=32, measured_seconds=0.5, discriminator=SMALL,
        loop=loop,
    )  # fmt: skip


def test_the_recipe_changes_the_decoder_alone(folder: Path) -> None:
    before, after = load_codec(folder / "codec"), load_codec(folder / "sharp")
    assert (after.scale, after.sample_rate) == (before.scale, before.sample_rate)
    changed = {
        name.partition(".")[0]
        for (name, old), new in zip(
            before.autoencoder.state_dict().items(), after.autoencoder.state_dict().values(), strict=True
        )
        if not torch.equal(old, new)
    }
    assert changed == {"decoder"}
    for name in ("measures.json", "loss.png", "reconstructions/reconstruction-0.wav", "samples/step-000002.wav"):
        assert (folder / "sharp" / name).stat().st_size > 0


def test_resumed_equals_uninterrupted(folder: Path) -> None:
    assert not decoder.run(recipe(folder, "parts"), stop_after=2).finished
    assert decoder.run(recipe(folder, "parts")).finished
    one, other = (load_codec(folder / name).autoencoder.state_dict() for name in ("sharp", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_codec_is_found_in_a_model_too(tmp_path: Path) -> None:
    live = tiny_live()
    live.save(tmp_path / "model")
    found = find_codec(str(tmp_path / "model"))
    audio = torch.randn(1, found.channels, 8 * found.frame_samples)
    assert near(found.encode(audio), live.codec.encode(audio), share=1e-5)
    with pytest.raises(LmdmError, match="nowhere"):
        find_codec(str(tmp_path / "nowhere"))


def sharpened_model(tmp_path: Path, *, same_encoder: bool = True) -> bundle.BundleRecipe:
    live = tiny_live()
    live.save(tmp_path / "model")
    autoencoder = copy.deepcopy(live.network.autoencoder)
    with torch.no_grad():
        for parameter in autoencoder.decoder.parameters():
            parameter.mul_(1.5)
        if not same_encoder:
            next(autoencoder.encoder.parameters()).add_(0.1)
    facts = CodecFacts(autoencoder.config, live.codec.sample_rate, live.codec.scale)
    save_codec(tmp_path / "sharp", facts, autoencoder.state_dict())
    return bundle.BundleRecipe(
        (str(tmp_path / "model"),), ("little",), str(tmp_path / "models"), codec=str(tmp_path / "sharp")
    )


def test_a_bundle_takes_the_new_decoder(tmp_path: Path) -> None:
    bundle.run(sharpened_model(tmp_path))
    before, after = lmdm.load(tmp_path / "model"), lmdm.load(tmp_path / "models" / "little")
    audio = torch.randn(1, before.codec.channels, 8 * before.codec.frame_samples)
    latents = before.codec.encode(audio)
    assert near(after.codec.encode(audio), latents, share=0.05)
    sharp = load_codec(tmp_path / "sharp").decode(latents)
    assert near(after.codec.decode(latents), sharp, share=0.05)
    assert not near(before.codec.decode(latents), sharp, share=0.2)


def test_a_decoder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="another encoder"):
        bundle.run(sharpened_model(tmp_path, same_encoder=False))
    assert not (tmp_path / "models").exists()


def test_the_config_survives_json(folder: Path) -> None:
    from lmdm_adapter.training.configs import read_config

    path = folder / "recipe.json"
    path.write_text(json.dumps(asdict(recipe(folder))))
    assert read_config(DecoderRecipe, path) == recipe(folder)


def test_a_run_never_overwrites_its_own_codec(folder: Path) -> None:
    before = (folder / "codec" / "codec.safetensors").read_bytes()
    with pytest.raises(LmdmError, match="its own codec"):
        decoder.run(recipe(folder, "codec"))
    assert (folder / "codec" / "codec.safetensors").read_bytes() == before
