"""Sharpen the decoder of a trained codec; its latents, and all models that play in them, stay as they are.

    python -m lmdm_adapter.recipes.decoder --config decoder.json

1. Take the codec of a folder of the codec recipe, or of a model; render songs to `songs` (once).
2. Train the decoder alone on random crops: spectral distances, and a discriminator that learns beside it.
3. Measure the averaged weights on held-out songs, write reconstructions, and save `codec.safetensors` and `codec.json`.

Stop it with Ctrl-C or SIGTERM and start it again: it goes on bit for bit. The bundle recipe puts the result into
models.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder
from lmdm_adapter.recipes.codec import codec_songs
from lmdm_adapter.training.codec_files import CodecFacts, find_codec, save_codec
from lmdm_adapter.training.codec_measures import (
    codec_measures,
    first_reconstruction,
    song_excerpts,
    write_reconstructions,
)
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import require_at_least_one, require_seconds, write_json
from lmdm_adapter.training.decoder_objective import DecoderObjective, DecoderWeights
from lmdm_adapter.training.loop import LoopConfig, Trained, require_accelerate, train
from lmdm_adapter.training.processes import main_first
from lmdm_adapter.training.songs import AudioCrops
from lmdm_adapter.training.spectral_judge import SpectralJudgeConfig


@dataclass(frozen=True)
class DecoderRecipe:
    """Everything the run depends on; `codec` is a folder of the codec recipe, a model folder, or a bundled name.

    `compile` is as in the codec recipe.
    """

    output: str
    codec: str
    songs: str
    train_songs: int = 300
    held_out_songs: int = 8
    song_seconds: float = 40.0
    batch_size: int = 4
    crop_frames: int = 24
    seed: int = 0
    compile: bool = False
    measured_seconds: float = 12.0
    weights: DecoderWeights = DecoderWeights()
    discriminator: SpectralJudgeConfig = SpectralJudgeConfig()
    loop: LoopConfig = LoopConfig(
        steps=4000, learning_rate=3e-4, warmup_steps=100, beta1=0.8, precision="bf16", validate_every_steps=500
    )

    def __post_init__(self) -> None:
        require_at_least_one(self, "train_songs", "held_out_songs", "batch_size", "crop_frames")
        require_seconds(self, "song_seconds", "measured_seconds")


def run(config: DecoderRecipe, *, stop_after: int | None = None) -> Trained:
    """Train from the codec or the last checkpoint to the end, a stop request, or step `stop_after`."""
    require_accelerate()
    output, codec = Path(config.output), find_codec(config.codec)
    if Path(config.codec).resolve() == output.resolve():
        raise LmdmError(f"The run would overwrite its own codec {config.codec}; give it another output.")
    network, rate = codec.autoencoder.config, codec.sample_rate
    with main_first(config.loop) as first:
        if first:
            write_json(output / "recipe.json", config)
        train_songs, held_out = codec_songs(
            Path(config.songs), train=config.train_songs, held_out=config.held_out_songs, seconds=config.song_seconds,
            sample_rate=rate,
        )  # fmt: skip
    crops = AudioCrops(
        Path(config.songs), train_songs, batch_size=config.batch_size,
        crop_samples=config.crop_frames * codec.frame_samples, seed=config.seed,
    )  # fmt: skip
    excerpts = song_excerpts(Path(config.songs), held_out, seconds=config.measured_seconds, ratio=network.ratio)
    objective = _objective(config, codec)

    def validate(average: Mapping[str, Tensor], _step: int) -> dict[str, float]:
        measured = with_decoder(codec, average)
        save_codec(output, CodecFacts(network, rate, codec.scale), measured.state_dict())
        write_reconstructions(measured, excerpts, output / "reconstructions", sample_rate=rate)
        measures = codec_measures(measured, excerpts, sample_rate=rate)
        write_json(output / "measures.json", measures)
        return measures

    def sample(average: Mapping[str, Tensor], _step: int) -> Audio:
        return first_reconstruction(with_decoder(codec, average), excerpts, rate)

    trained = train(
        objective, lambda step: (crops.batch(step),), config=config.loop, folder=output, title="decoder",
        validate=validate, sample=sample, stop_after=stop_after, recipe=config,
    )  # fmt: skip
    if trained.finished and trained.is_main:
        validate(trained.average, trained.step)
    return trained


def _objective(config: DecoderRecipe, codec: Codec) -> DecoderObjective:
    autoencoder = copy.deepcopy(codec.autoencoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        objective = DecoderObjective(
            autoencoder, config.discriminator, sample_rate=codec.sample_rate, weights=config.weights, seed=config.seed
        )
    if config.compile:
        autoencoder.encoder.compile()
        autoencoder.decoder.compile()
    return objective


def with_decoder(codec: Codec, average: Mapping[str, Tensor]) -> AudioAutoencoder:
    """The codec's autoencoder with the averaged decoder of an objective, for inference; the codec is left alone."""
    autoencoder = copy.deepcopy(codec.autoencoder)
    prefix = "autoencoder.decoder."
    decoder = {name.removeprefix(prefix): value.cpu() for name, value in average.items() if name.startswith(prefix)}
    autoencoder.decoder.load_state_dict(decoder)
    return autoencoder


if __name__ == "__main__":
    recipe_command(DecoderRecipe, run)
