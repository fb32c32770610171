"""Train an Oobleck codec on procedural songs.

    python -m lmdm_adapter.recipes.codec --config codec.json

1. Render songs to `songs` (once; a stopped render goes on where it was).
2. Train on random crops: spectral distances at six window sizes, a waveform term, a small KL term.
3. Measure the averaged weights on held-out songs, write reconstructions, and save `codec.safetensors` and `codec.json`.

Stop it with Ctrl-C or SIGTERM and start it again: it goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.music import HELD_OUT_SEEDS, TRAIN_SEEDS
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.training.calibration import calibrate
from lmdm_adapter.training.codec_files import CodecFacts, save_codec
from lmdm_adapter.training.codec_measures import (
    codec_measures,
    first_reconstruction,
    reconstruct,
    song_excerpts,
    write_reconstructions,
)
from lmdm_adapter.training.codec_objective import CodecObjective, CodecWeights
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import require_at_least_one, require_seconds, write_json
from lmdm_adapter.training.journal import counted
from lmdm_adapter.training.loop import LoopConfig, Trained, require_accelerate, train
from lmdm_adapter.training.processes import main_first
from lmdm_adapter.training.songs import AudioCrops, SongFacts, render_songs


def _network() -> OobleckConfig:
    return OobleckConfig(
        audio_channels=1, channels=16, c_mults=(2, 4, 8, 16), strides=(4, 4, 8, 8), latent_channels=32, soft_clip=False
    )


@dataclass(frozen=True)
class CodecRecipe:
    """Everything the run depends on. `output` holds checkpoints and results, `songs` the rendered songs.

    `compile` fuses the elementwise work of the networks (half the time on CPU; needs a C++ compiler there); results
    then differ from the plain run by rounding.
    """

    output: str
    songs: str
    sample_rate: int = 22050
    train_songs: int = 300
    held_out_songs: int = 8
    song_seconds: float = 40.0
    batch_size: int = 8
    crop_frames: int = 24
    seed: int = 0
    compile: bool = False
    measured_seconds: float = 12.0
    network: OobleckConfig = field(default_factory=_network)
    weights: CodecWeights = CodecWeights()
    loop: LoopConfig = LoopConfig(
        steps=8000, learning_rate=6e-4, warmup_steps=100, beta1=0.8, precision="bf16", validate_every_steps=500
    )

    def __post_init__(self) -> None:
        require_at_least_one(self, "sample_rate", "train_songs", "held_out_songs", "batch_size", "crop_frames")
        require_seconds(self, "song_seconds", "measured_seconds")


def run(config: CodecRecipe, *, stop_after: int | None = None) -> Trained:
    """Train from the start or the last checkpoint to the end, a stop request, or step `stop_after`."""
    require_accelerate()
    output, songs_folder = Path(config.output), Path(config.songs)
    with main_first(config.loop) as first:
        if first:
            write_json(output / "recipe.json", config)
        train_songs, held_out = codec_songs(
            songs_folder, train=config.train_songs, held_out=config.held_out_songs, seconds=config.song_seconds,
            sample_rate=config.sample_rate,
        )  # fmt: skip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        autoencoder = AudioAutoencoder(config.network)
    crops = AudioCrops(
        songs_folder, train_songs, batch_size=config.batch_size,
        crop_samples=config.crop_frames * config.network.ratio, seed=config.seed,
    )  # fmt: skip
    calibrate(autoencoder, torch.cat([crops.batch(step) for step in range(4)]))
    if config.compile:
        autoencoder.encoder.compile()
        autoencoder.decoder.compile()
    objective = CodecObjective(autoencoder, sample_rate=config.sample_rate, weights=config.weights, seed=config.seed)
    excerpts = song_excerpts(songs_folder, held_out, seconds=config.measured_seconds, ratio=config.network.ratio)

    def validate(average: Mapping[str, Tensor], _step: int) -> dict[str, float]:
        measured = averaged_autoencoder(config.network, average)
        _save(config, measured, excerpts)
        return codec_measures(measured, excerpts, sample_rate=config.sample_rate)

    def sample(average: Mapping[str, Tensor], _step: int) -> Audio:
        return first_reconstruction(averaged_autoencoder(config.network, average), excerpts, config.sample_rate)

    trained = train(
        objective, lambda step: (crops.batch(step),), config=config.loop, folder=output, title="codec",
        validate=validate, sample=sample, stop_after=stop_after, recipe=config,
    )  # fmt: skip
    if trained.finished and trained.is_main:
        _finish(config, averaged_autoencoder(config.network, trained.average), excerpts)
    return trained


def codec_songs(
    folder: Path, *, train: int, held_out: int, seconds: float, sample_rate: int
) -> tuple[list[SongFacts], list[SongFacts]]:
    """The songs to train on and those to measure with; what is not in `folder` yet is rendered, with progress."""
    length = {"seconds": seconds, "sample_rate": sample_rate}
    with counted("rendering songs", train) as progress:
        train_songs = render_songs(folder, TRAIN_SEEDS[:train], progress=progress, **length)
    return train_songs, render_songs(folder, HELD_OUT_SEEDS[:held_out], **length)


def averaged_autoencoder(network: OobleckConfig, average: Mapping[str, Tensor]) -> AudioAutoencoder:
    """An autoencoder with the averaged weights of the objective (names begin with `autoencoder.`), for inference."""
    autoencoder = AudioAutoencoder(network).requires_grad_(False).eval()
    autoencoder.load_state_dict({name.removeprefix("autoencoder."): value.cpu() for name, value in average.items()})
    return autoencoder


def _save(config: CodecRecipe, autoencoder: AudioAutoencoder, excerpts: Tensor) -> None:
    """Save with the scale that brings the latents of held-out songs to unit deviation."""
    latents, _ = reconstruct(autoencoder, excerpts)
    facts = CodecFacts(network=config.network, sample_rate=config.sample_rate, scale=float(latents.std()))
    save_codec(Path(config.output), facts, autoencoder.state_dict())


def _finish(config: CodecRecipe, autoencoder: AudioAutoencoder, excerpts: Tensor) -> None:
    output = Path(config.output)
    _save(config, autoencoder, excerpts)
    write_json(output / "measures.json", codec_measures(autoencoder, excerpts, sample_rate=config.sample_rate))
    write_reconstructions(autoencoder, excerpts, output / "reconstructions", sample_rate=config.sample_rate)


if __name__ == "__main__":
    recipe_command(CodecRecipe, run)
