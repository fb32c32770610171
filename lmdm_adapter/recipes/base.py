"""Train an offline text-to-music model on the latents of procedural songs, or of any other music.

    python -m lmdm_adapter.recipes.base --config base.json

1. Encode music with a codec that the codec recipe trained (once; a stopped encode goes on where it was).
2. Train a small diffusion transformer on windows: rectified flow, shifted noise levels, prompts dropped now and then.
3. Save the averaged weights as a checkpoint in the format of stable-audio-tools, in `output`/model, with an example.

Stop it with Ctrl-C or SIGTERM and start it again: it goes on bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import read_checkpoint, write_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.conversion import is_live, offline_network
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.loading import locate
from lmdm_adapter.network.model import Network
from lmdm_adapter.samplers import noise, sample
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import Sampling
from lmdm_adapter.training.codec_files import load_codec
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import require_at_least_one, write_json
from lmdm_adapter.training.data import Data, crops_of
from lmdm_adapter.training.files import write_sound
from lmdm_adapter.training.flow_objectives import (
    FlowConfig,
    OfflineObjective,
    averaged,
    rebuilt,
    require_flow,
    set_trainable,
)
from lmdm_adapter.training.held_out import held_out_loss
from lmdm_adapter.training.initial import silence_branches
from lmdm_adapter.training.loop import LoopConfig, Trained, require_accelerate, train
from lmdm_adapter.training.model_config import DiTShape, model_config
from lmdm_adapter.training.processes import main_first
from lmdm_adapter.training.prompt_memory import remember_prompts
from lmdm_adapter.training.prompts import conditioning_of


@dataclass(frozen=True)
class BaseRecipe:
    """Everything the run depends on; `data` is one of the kinds of `training.data`.

    A fresh network of the shape `network` is built around `codec`, the output folder of the codec recipe; or training
    goes on from the offline checkpoint `start`, with its own codec and shape, for instance on longer windows, as a
    discriminator for long rollouts needs them. `window_frames` is the length of a training window.
    Raises LmdmError unless exactly one of the two is given.
    """

    output: str
    data: Data
    codec: str | None = None
    start: str | None = None
    window_frames: int = 256
    batch_size: int = 16
    seed: int = 0
    example_prompt: str = "124 BPM, A minor, house"
    example_sampling: Sampling = Sampling(steps=50, sampler="euler")
    network: DiTShape = DiTShape()
    flow: FlowConfig = field(default_factory=FlowConfig)
    loop: LoopConfig = LoopConfig(
        steps=4000, learning_rate=5e-4, warmup_steps=200, beta2=0.999, weight_decay=0.01, precision="bf16",
        validate_every_steps=500,
    )  # fmt: skip

    def __post_init__(self) -> None:
        require_at_least_one(self, "window_frames", "batch_size")
        if (self.codec is None) == (self.start is None):
            raise LmdmError("Give either codec, to train a new model around it, or start, to go on from a checkpoint.")


def run(config: BaseRecipe, *, stop_after: int | None = None) -> Trained:
    """Train from the start or the last checkpoint to the end, a stop request, or step `stop_after`."""
    require_accelerate()
    output = Path(config.output)
    network, host_config = starting_point(config)
    codec = Codec(network.autoencoder, network.config.sample_rate, network.config.codec_scale)
    with main_first(config.loop) as first:
        if first:
            write_json(output / "recipe.json", config)
        crops, held_out = crops_of(
            config.data, codec, batch_size=config.batch_size, seed=config.seed, longest_frames=config.window_frames
        )
    seconds = config.window_frames / codec.frame_rate_hz
    objective = OfflineObjective(network, config.flow, seconds=seconds)

    def validate(average: dict[str, Tensor], _step: int) -> dict[str, float]:
        _save(config, averaged(network, average), host_config)
        return held_out_loss(objective, average, lambda step: held_out.batch(step, config.window_frames))

    trained = train(
        objective, lambda step: crops.batch(step, config.window_frames), config=config.loop, folder=output,
        title="base", validate=validate, sample=lambda average, _step: _example(config, averaged(network, average)),
        stop_after=stop_after, recipe=config,
    )  # fmt: skip
    if trained.finished and trained.is_main:
        _save(config, averaged(network, trained.average), host_config)
    return trained


def starting_point(config: BaseRecipe) -> tuple[Network, dict[str, Any]]:
    """The network to train, and the `model_config.json` that it is saved with.

    Raises LmdmError for a live model, a checkpoint that is its own output, or one whose objective is not supported.
    """
    if config.codec is not None:
        codec = load_codec(Path(config.codec))
        host_config = model_config(codec, config.network, window_frames=config.window_frames)
        return new_network(host_config, codec, seed=config.seed), host_config
    assert config.start is not None, "the config has one of the two"
    if Path(config.start).resolve() == (Path(config.output) / "model").resolve():
        raise LmdmError(f"The run would overwrite its own start {config.start}; give it another output.")
    checkpoint = read_checkpoint(locate(config.start))
    if is_live(checkpoint):
        raise LmdmError(f"{config.start} is a live model; fine-tune that, or give the offline one that it came from.")
    network = rebuilt(require_flow(offline_network(checkpoint)))
    ratio = network.autoencoder.config.ratio
    remember_prompts(network)
    return set_trainable(network), {**checkpoint.config, "sample_size": config.window_frames * ratio}


def new_network(host_config: dict[str, Any], codec: Codec, *, seed: int) -> Network:
    """A fresh network around a trained codec; everything but the codec will be trained."""
    section = LmdmSection.read(host_config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(section.extend(network_config(host_config)))
    silence_branches(network.dit)
    network.autoencoder.load_state_dict(codec.autoencoder.state_dict())
    return set_trainable(network)


def _save(config: BaseRecipe, network: Network, host_config: dict[str, Any]) -> None:
    """The checkpoint, and a sound of it beside."""
    write_checkpoint(Path(config.output) / "model", network, host_config)
    write_sound(Path(config.output) / "example.wav", _example(config, network))


def _example(config: BaseRecipe, network: Network) -> Audio:
    sound = offline_sound(
        network, config.example_prompt, frames=config.window_frames, sampling=config.example_sampling, seed=config.seed
    )
    return Audio(sound, network.config.sample_rate)


@torch.no_grad()
def offline_sound(network: Network, prompt: str, *, frames: int, sampling: Sampling, seed: int) -> np.ndarray:
    """One window of an offline model in one go, without guidance: `(channels, samples)`."""
    config = network.config
    codec = Codec(network.autoencoder, config.sample_rate, config.codec_scale)
    told = conditioning_of(network, [prompt], seconds=frames / codec.frame_rate_hz, device=torch.device("cpu"))
    shape = (1, codec.latent_channels, frames)

    def velocity(x: Tensor, t: float) -> Tensor:
        return network.dit(x, torch.full((1,), t), cross=told.cross, global_cond=told.global_cond)

    latents = sample(
        velocity, noise(seed, 0, 0, "denoise", shape=shape), sampling=sampling,
        objective=config.dit.objective, fresh_noise=lambda step: noise(seed, 0, step, "denoise", shape=shape),
    )  # fmt: skip
    return codec.decode(latents)[0].clamp(-1.0, 1.0).numpy()


if __name__ == "__main__":
    recipe_command(BaseRecipe, run)
