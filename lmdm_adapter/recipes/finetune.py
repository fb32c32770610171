"""Turn an offline model into one that streams: convert it, then train it block by block on what it will play.

    python -m lmdm_adapter.recipes.finetune --config finetune.json

1. Get latents: encode songs or sound files with the base model's own codec, or read those that are there already.
2. Convert the base and train it on the computation that streams: block-causal models on every block of long sequences
   at once, encoder-decoder models on windows of one block and its context. Context, prompts and frame controls are
   dropped now and then, and block lengths are off by a frame.
3. Save the averaged weights, adapters merged, as a live model in `output`/model, with an example.

Stop it with Ctrl-C or SIGTERM and start it again: it goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.declared import FrameControls
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.conversion import convert_checkpoint, is_live, live_from_checkpoint, with_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.loading import locate
from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import BlockSpec, Sampling, require_choice
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import require_at_least_one, require_seconds, write_json
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops, controlled_crops_of, require_held
from lmdm_adapter.training.control_rate import columns_scaled, controls_scaled
from lmdm_adapter.training.control_source import SOURCES, ControlSource, SourceMaker, declared_by, sources_of
from lmdm_adapter.training.data import Data
from lmdm_adapter.training.draws import numpy_draws
from lmdm_adapter.training.drops import block_lengths, longest_frames
from lmdm_adapter.training.example import streamed_example
from lmdm_adapter.training.files import write_sound
from lmdm_adapter.training.flow_objectives import (
    BlockObjective,
    FlowConfig,
    WindowObjective,
    averaged,
    rebuilt,
    require_flow,
    set_trainable,
)
from lmdm_adapter.training.guide import Guide
from lmdm_adapter.training.held_out import held_out_loss
from lmdm_adapter.training.loop import Batch, LoopConfig, Trained, require_accelerate, train
from lmdm_adapter.training.lora import LoraConfig, add_adapters, require_peft
from lmdm_adapter.training.processes import main_first
from lmdm_adapter.training.prompt_memory import remember_prompts

MOST_CONTROL_RATE = 1024.0
OBJECTIVES = {"block-causal": BlockObjective, "encoder-decoder": WindowObjective}


@dataclass(frozen=True)
class FinetuneRecipe:
    """Everything the run depends on.

    `base` is an offline checkpoint in a host's format, or a live model of the same `spec` to go on from; `data` is
    as in the base recipe.
    `blocks` is the length of a training sequence of a block-causal model; one of an encoder-decoder model is always one
    block and its context. `control_rate` is how many times faster the weights of frame controls learn than the others:
    they begin at zero, in a model that is trained already. `controls` names frame controls, or groups such as
    "accompaniment", that the model gets if it has none of that name, and `control_draws` says how they vary; `sketch`
    are the settings of sketches, None the default for the codec, and those that the model already has come first.
    `sampling` is how the saved model plays unless it is told otherwise. `lora` of rank 0 trains all weights but the
    codec's. `checkpointed` computes activations twice instead of keeping them. `learn_guidance` above 1 trains the
    model to play at guidance 1 what `base`, a live model then, plays at that guidance: half the network's passes in
    play, and the start that ARC-Forcing wants, whose rollouts have no guidance. `context_projection` of an offline base
    begins as a copy of how the model hears its own latents, or drawn anew.
    """

    output: str
    base: str
    data: Data
    spec: BlockSpec = BlockSpec(block_frames=12, context_blocks=16)
    blocks: int = 24
    batch_size: int = 8
    seed: int = 0
    sampling: Sampling = Sampling(steps=8, sampler="euler")
    example_prompt: str = "124 BPM, A minor, house"
    example_seconds: float = 12.0
    flow: FlowConfig = field(default_factory=FlowConfig)
    controls: tuple[str, ...] = ()
    sketch: SketchConfig | None = None
    control_draws: ControlConfig = ControlConfig()
    control_rate: float = 16.0
    lora: LoraConfig = LoraConfig()
    checkpointed: bool = False
    learn_guidance: float = 1.0
    context_projection: Literal["copied", "random"] = "copied"
    loop: LoopConfig = LoopConfig(
        steps=3000, learning_rate=2e-4, warmup_steps=100, beta2=0.999, precision="bf16", validate_every_steps=500
    )

    def __post_init__(self) -> None:
        if self.spec.regime not in OBJECTIVES:
            raise LmdmError(f"This recipe trains {' and '.join(OBJECTIVES)} models, not {self.spec.regime}.")
        if self.blocks < 2:
            raise LmdmError(f"A training sequence needs at least 2 blocks, got {self.blocks}.")
        require_choice("context projection", self.context_projection, Literal["copied", "random"])
        if self.learn_guidance < 1.0 or (self.learn_guidance > 1.0 and self.sampling.guidance != 1.0):
            raise LmdmError(
                f"learn_guidance must be at least 1, and its model plays at guidance 1; got {self.learn_guidance} to "
                f"play at {self.sampling.guidance}."
            )
        if not 1.0 <= self.control_rate <= MOST_CONTROL_RATE:
            raise LmdmError(f"control_rate lies between 1 and {MOST_CONTROL_RATE:g}, got {self.control_rate}.")
        require_at_least_one(self, "batch_size")
        require_seconds(self, "example_seconds")

    @property
    def sequence_blocks(self) -> int:
        """Blocks of a training sequence in the regime of `spec`."""
        return self.blocks if self.spec.regime == "block-causal" else self.spec.context_blocks + 1


def run(
    config: FinetuneRecipe, *, stop_after: int | None = None, sources: Mapping[str, SourceMaker] = SOURCES
) -> Trained:
    """Train from the base or the last checkpoint to the end, a stop request, or step `stop_after`.

    `sources` make the features that `controls` name, by their group; the saved model keeps the settings of its sketch.
    """
    require_accelerate()
    if config.lora.rank:
        require_peft()
    output = Path(config.output)
    if Path(config.base).resolve() == (output / "model").resolve():
        raise LmdmError(f"The run would overwrite its own base {config.base}; give it another output.")
    live = starting_point(config.base, config.spec)
    require_flow(live.network)
    own = [name for name, _ in live.network.config.dit.further_controls]
    made = sources_of([*config.controls, *own], live.codec, sources, sketch=live.section.sketch or config.sketch)
    wanted = declared_by(config.controls, made, latent_channels=live.network.config.dit.io_channels)
    live = with_missing(live, wanted, made)
    guide = guide_of(live, config)
    live = replace(live, network=learning(rebuilt(live.network), config))
    if config.context_projection == "random":
        redraw_projection(live, seed=config.seed)
    networks = (live.network, *(() if guide is None else (guide.network,)))
    remember_prompts(*networks)
    for network in networks:
        columns_scaled(network, 1.0 / config.control_rate)
    codec = Codec(live.network.autoencoder, live.network.config.sample_rate, live.network.config.codec_scale)
    longest = longest_frames(config.sequence_blocks, block_frames=config.spec.block_frames, drops=config.flow.drops)
    with main_first(config.loop) as first:
        if first:
            write_json(output / "recipe.json", config)
        crops, held_out = controlled_crops_of(
            config.data, codec, live.network.config.dit.further_controls, config.control_draws, sources=made,
            batch_size=config.batch_size, seed=config.seed, longest_frames=longest,
            block_frames=config.spec.block_frames,
        )  # fmt: skip
    require_held(crops.crops.clips, wanted)
    objective = OBJECTIVES[config.spec.regime](
        live.network, config.flow, spec=config.spec, seconds=live.window_seconds, checkpointed=config.checkpointed,
        guide=guide,
    )  # fmt: skip

    def validate(average: dict[str, Tensor], step: int) -> dict[str, float]:
        _save(config, live, average, step)
        return held_out_loss(objective, average, batches(config, held_out))

    trained = train(
        objective, batches(config, crops), config=config.loop, folder=output, title="finetune",
        sample=lambda average, step: _example(config, _averaged(config, live, average, step)), validate=validate,
        stop_after=stop_after, recipe=config,
    )  # fmt: skip
    if trained.finished and trained.is_main:
        _save(config, live, trained.average, trained.step)
    return trained


def starting_point(base: str, spec: BlockSpec) -> LiveModel:
    """The live model that a run starts from: an offline base converted, or a live model as it is.

    Raises LmdmError for a live model with other blocks.
    """
    checkpoint = read_checkpoint(locate(base))
    if not is_live(checkpoint):
        return convert_checkpoint(checkpoint, spec)
    live = live_from_checkpoint(checkpoint)
    if live.spec != spec:
        raise LmdmError(f"{base} is a live model of {live.spec}; the run asks for {spec}. Give its base or its spec.")
    return live


def redraw_projection(live: LiveModel, *, seed: int) -> None:
    """Draw the context projection as any fresh linear layer is, to measure what its copied start is worth.

    Raises LmdmError for a model that was trained to stream, whose projection would be lost.
    """
    if live.section.trained_steps:
        raise LmdmError("A model that was trained to stream keeps its context projection; give its base, or copied.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        live.network.dit.to_input_add_embed.reset_parameters()


def guide_of(live: LiveModel, config: FinetuneRecipe) -> Guide | None:
    """The starting point, kept as it is, where its guidance is to be learned.

    It leads towards frame controls as well where the starting point plays with `guided_controls`.
    Raises LmdmError for one that was never trained to stream, whose guidance is not worth learning.
    """
    if config.learn_guidance == 1.0:
        return None
    if not live.section.own_steps:
        raise LmdmError(f"{config.base} has no guidance to learn from: fine-tune it first, then give that model.")
    return Guide(rebuilt(live.network), config.learn_guidance, guided_controls=live.sampling.guided_controls)


def learning(network: Network, config: FinetuneRecipe) -> Network:
    """The network with what is trained requiring gradients: all but the codec, or adapters and context projection."""
    return add_adapters(network, config.lora, seed=config.seed) if config.lora.rank else set_trainable(network)


def with_missing(live: LiveModel, controls: FrameControls, sources: Sequence[ControlSource]) -> LiveModel:
    """The model with those of the frame controls that it does not have yet, and with how its sketches are made."""
    missing = tuple(pair for pair in controls if pair not in live.section.frame_controls)
    sketch = next((source.sketch for source in sources if source.sketch is not None), None)
    return with_controls(live, missing, sketch=sketch) if missing else live


def batches(config: FinetuneRecipe, crops: ControlCrops) -> Callable[[int], Batch]:
    """Batches of an objective on blocks: latents `b c n`, prompts, block lengths that add up to n, controls `b e n`."""

    def batch(step: int) -> Batch:
        lengths = block_lengths(
            config.sequence_blocks, block_frames=config.spec.block_frames, drops=config.flow.drops,
            draws=numpy_draws(config.seed, step, "block lengths"),
        )  # fmt: skip
        rows = crops.batch(step, sum(lengths))
        return rows.latents, rows.prompts, lengths, controls_scaled(rows.controls, config.control_rate)

    return batch


def _save(config: FinetuneRecipe, live: LiveModel, average: dict[str, Tensor], step: int) -> None:
    """The live model with averaged weights, and a stream of it beside."""
    trained = _averaged(config, live, average, step)
    trained.save(Path(config.output) / "model")
    write_sound(Path(config.output) / "example.wav", _example(config, trained))


def _averaged(config: FinetuneRecipe, live: LiveModel, average: dict[str, Tensor], step: int) -> LiveModel:
    section = replace(live.section.fine_tuned(step), sampling=config.sampling)
    network = columns_scaled(averaged(live.network, average), config.control_rate)
    return LiveModel(network, section, live.host_config)


def _example(config: FinetuneRecipe, trained: LiveModel) -> Audio:
    return streamed_example(trained, config.example_prompt, seconds=config.example_seconds, seed=config.seed)


if __name__ == "__main__":
    recipe_command(FinetuneRecipe, run)
