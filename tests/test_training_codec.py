"""Codec training: songs on disk, crops, spectral distances, a loss that falls."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.recipes.codec import CodecRecipe
from lmdm_adapter.training.calibration import calibrate
from lmdm_adapter.training.codec_files import CodecFacts, load_codec, save_codec
from lmdm_adapter.training.codec_objective import CodecObjective, CodecWeights, kl
from lmdm_adapter.training.configs import build_config, read_config, write_json
from lmdm_adapter.training.loop import LoopConfig, train
from lmdm_adapter.training.songs import AudioCrops, SongFacts, render_songs
from lmdm_adapter.training.spectral import MultiResolutionDistance, magnitudes, mel_filters, si_sdr_db

RATE = 8000
TINY = OobleckConfig(audio_channels=1, channels=4, c_mults=(2, 4), strides=(4, 4), latent_channels=4)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SongFacts]]:
    folder = tmp_path_factory.mktemp("songs")
    return folder, render_songs(folder, range(2), seconds=2.0, sample_rate=RATE)


def crops(songs: tuple[Path, list[SongFacts]], seed: int = 0) -> AudioCrops:
    return AudioCrops(*songs, batch_size=3, crop_samples=4096, seed=seed)


def test_rendering_goes_on_where_it_was(songs: tuple[Path, list[SongFacts]]) -> None:
    folder, facts = songs
    times = [(folder / fact.file).stat().st_mtime_ns for fact in facts]
    assert render_songs(folder, range(2), seconds=2.0, sample_rate=RATE) == facts
    assert [(folder / fact.file).stat().st_mtime_ns for fact in facts] == times
    assert not list(folder.glob(".*"))
    with pytest.raises(LmdmError, match="another rate or length"):
        render_songs(folder, range(1), seconds=2.0, sample_rate=2 * RATE)
    with pytest.raises(LmdmError, match="another rate or length"):
        render_songs(folder, range(1), seconds=60.0, sample_rate=RATE)


def test_batches_depend_on_seed_and_step_alone(songs: tuple[Path, list[SongFacts]]) -> None:
    batch = crops(songs).batch(7)
    assert batch.shape == (3, 1, 4096) and batch.abs().max() <= 1.0
    assert torch.equal(batch, crops(songs).batch(7))
    assert not torch.equal(batch, crops(songs).batch(8))
    assert not torch.equal(batch, crops(songs, seed=1).batch(7))


def test_crops_longer_than_a_song_are_refused(songs: tuple[Path, list[SongFacts]]) -> None:
    shortest = min(facts.samples for facts in songs[1])
    assert AudioCrops(*songs, batch_size=8, crop_samples=shortest, seed=0).batch(0).shape == (8, 1, shortest)
    for crop_samples in (shortest + 1, 10**6):
        with pytest.raises(LmdmError, match="do not fit the shortest song"):
            AudioCrops(*songs, batch_size=1, crop_samples=crop_samples, seed=0)
    with pytest.raises(LmdmError, match="do not fit the shortest song"):
        AudioCrops(songs[0], [], batch_size=1, crop_samples=1, seed=0)


def test_distance_is_zero_at_the_target_and_grows(songs: tuple[Path, list[SongFacts]]) -> None:
    sound = crops(songs).batch(0)
    distance = MultiResolutionDistance(RATE)
    assert all(term.item() == 0.0 for term in distance(sound, sound))
    near, far = distance(sound * 0.9, sound), distance(sound * 0.5, sound)
    assert all(0.0 < a.item() < b.item() for a, b in zip(near, far, strict=True))


def test_gradient_of_the_distance_at_silence_is_finite() -> None:
    made = torch.zeros(1, 1, 4096, requires_grad=True)
    sum(MultiResolutionDistance(RATE)(made, torch.randn(1, 1, 4096))).backward()
    assert made.grad is not None and torch.isfinite(made.grad).all()


def test_a_full_scale_sine_has_magnitude_one_in_its_band() -> None:
    sine = torch.sin(2 * math.pi * 1000 / RATE * torch.arange(8192.0))[None]
    spectrum = magnitudes(sine, torch.hann_window(512))[0, :, 32]
    assert spectrum.max().item() == pytest.approx(1.0, abs=0.01)
    bands = mel_filters(24, fft_samples=512, sample_rate=RATE)
    assert torch.allclose(bands.sum(1), torch.ones(24))
    assert (bands[1:].argmax(1) >= bands[:-1].argmax(1)).all()


def test_si_sdr_ignores_gain_and_sees_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    target, noise = (torch.randn(2, 1, 20_000, generator=generator) for _ in range(2))
    assert si_sdr_db(0.3 * target, target).item() > 60.0
    assert si_sdr_db(target + 0.1 * noise, target).item() == pytest.approx(20.0, abs=0.3)


def test_kl_is_zero_for_the_unit_normal() -> None:
    assert kl(torch.zeros(2, 3), torch.ones(2, 3)).item() == 0.0
    assert kl(torch.ones(2, 3), torch.ones(2, 3)).item() == pytest.approx(0.5)


def test_calibration_brings_latents_to_unit_deviation(songs: tuple[Path, list[SongFacts]]) -> None:
    torch.manual_seed(0)
    autoencoder, audio = AudioAutoencoder(TINY), crops(songs).batch(0)
    before = autoencoder.encode(audio).std().item()
    calibrate(autoencoder, audio)
    latents = autoencoder.encode(audio)
    assert before < 0.2 and latents.std().item() == pytest.approx(1.0, rel=0.2)
    assert autoencoder.decode(latents).std().item() == pytest.approx(audio.std().item(), rel=0.05)


def test_loss_falls_in_a_few_steps(songs: tuple[Path, list[SongFacts]], tmp_path: Path) -> None:
    torch.manual_seed(0)
    autoencoder, source = AudioAutoencoder(TINY), crops(songs)
    objective = CodecObjective(autoencoder, sample_rate=RATE, weights=CodecWeights(), seed=0)

    def loss() -> float:
        with torch.no_grad():
            return objective(source.batch(1000), 1000)["loss"].item()

    before = loss()
    config = LoopConfig(steps=12, learning_rate=3e-3, warmup_steps=2, cpu=True)
    train(objective, lambda step: (source.batch(step),), config=config, folder=tmp_path, title="codec")
    assert loss() < 0.9 * before


def test_saved_codec_comes_back(tmp_path: Path) -> None:
    autoencoder = AudioAutoencoder(TINY).eval()
    save_codec(tmp_path, CodecFacts(TINY, RATE, 0.7), autoencoder.state_dict())
    codec = load_codec(tmp_path)
    audio = torch.randn(1, 1, 256)
    assert (codec.sample_rate, codec.scale) == (RATE, 0.7)
    assert torch.equal(codec.encode(audio), autoencoder.encode(audio) / 0.7)
    (tmp_path / "codec.safetensors").write_bytes(b"broken")
    with pytest.raises(LmdmError, match="holds no codec"):
        load_codec(tmp_path)


def test_recipe_config_round_trip_and_unknown_keys(tmp_path: Path) -> None:
    recipe = CodecRecipe(output="out", songs="songs", network=TINY, loop=LoopConfig(steps=3))
    write_json(tmp_path / "recipe.json", recipe)
    assert read_config(CodecRecipe, tmp_path / "recipe.json") == recipe
    with pytest.raises(LmdmError, match="LoopConfig does not know 'step'"):
        build_config(CodecRecipe, {"output": "o", "songs": "s", "loop": {"step": 3}})
    with pytest.raises(LmdmError, match="songs"):
        build_config(CodecRecipe, {"output": "o"})
