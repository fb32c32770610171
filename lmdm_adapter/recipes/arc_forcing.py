"""Post-train a streaming model on its own rollouts, so that it stays good for long and needs few denoise steps.

    python -m lmdm_adapter.recipes.arc_forcing --config arc-forcing.json

1. Get latents, as fine-tuning does.
2. Roll the live model out after real context, block by block as it plays, and let a judge hear the whole rollout beside
   what followed in truth. The judge is the offline model that the live one came from, with a small head.
3. Save the averaged weights as a live model in `output`/model, with an example.

Stop it with Ctrl-C or SIGTERM and start it again: it goes on bit for bit. A stopped run leaves the model as far as it
came. With several devices:
`accelerate launch -m lmdm_adapter.recipes.arc_forcing --config arc-forcing.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.conversion import is_live, live_from_checkpoint, offline_network
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.loading import locate
from lmdm_adapter.network.model import Network
from lmdm_adapter.training.arc_objective import JUDGE, ArcConfig, ArcObjective, partner_prompts
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import require_at_least_one, require_seconds, write_json
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops, controlled_crops_of
from lmdm_adapter.training.control_source import SOURCES, SourceMaker, sources_of
from lmdm_adapter.training.data import Data
from lmdm_adapter.training.draws import numpy_draws
from lmdm_adapter.training.drops import DropConfig, block_lengths, longest_frames
from lmdm_adapter.training.example import streamed_example
from lmdm_adapter.training.files import write_sound
from lmdm_adapter.training.flow_objectives import averaged, rebuilt, set_trainable
from lmdm_adapter.training.latent_judge import LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.loop import Batch, LoopConfig, OptimiserConfig, Trained, require_accelerate, train
from lmdm_adapter.training.processes import main_first
from lmdm_adapter.training.prompt_memory import remember_prompts
from lmdm_adapter.training.rollout_measures import rollout_measures

log = logging.getLogger(__name__)
EARLIER_BATCHES = 16


@dataclass(frozen=True)
class ArcForcingRecipe:
    """Everything the run depends on. `student` is a live model, `base` the offline checkpoint that it came from.

    `data` and `control_draws` are as in fine-tuning; the student plays with the frame controls that it has.
    `jitter_frames` is by how much the lengths of rolled blocks vary. `judge` and its optimiser default to the paper's;
    `loop` holds the student's optimiser. Steps alternate between the two.
    """

    output: str
    student: str
    base: str
    data: Data
    batch_size: int = 4
    jitter_frames: int = 1
    seed: int = 0
    example_prompt: str = "124 BPM, A minor, house"
    example_seconds: float = 24.0
    control_draws: ControlConfig = ControlConfig()
    arc: ArcConfig = field(default_factory=ArcConfig)
    judge: LatentJudgeConfig = field(default_factory=LatentJudgeConfig)
    judge_optimiser: OptimiserConfig = OptimiserConfig(
        learning_rate=1e-6, warmup_steps=0, final_share=1.0, beta1=0.9, beta2=0.95, weight_decay=0.01
    )
    loop: LoopConfig = LoopConfig(
        steps=18000, learning_rate=1e-6, warmup_steps=0, final_share=1.0, beta1=0.9, beta2=0.95, weight_decay=0.01,
        precision="bf16", validate_every_steps=500,
    )  # fmt: skip

    def __post_init__(self) -> None:
        require_at_least_one(self, "batch_size")
        require_seconds(self, "example_seconds")
        if self.jitter_frames < 0:
            raise LmdmError(f"jitter_frames must be at least 0, got {self.jitter_frames}.")
        if self.arc.contrastive_controls and not self.judge.hears_controls:
            raise LmdmError("arc.contrastive_controls needs a judge that hears them; set judge.hears_controls to true.")

    @property
    def drops(self) -> DropConfig:
        """How block lengths vary; nothing is dropped."""
        return DropConfig(jitter_frames=self.jitter_frames)


def run(
    config: ArcForcingRecipe, *, stop_after: int | None = None, sources: Mapping[str, SourceMaker] = SOURCES
) -> Trained:
    """Train from the live model or the last checkpoint to the end, a stop request, or step `stop_after`.

    `sources` make the features that the student's frame controls are, by their group.
    """
    require_accelerate()
    output = Path(config.output)
    if Path(config.student).resolve() == (output / "model").resolve():
        raise LmdmError(f"The run would overwrite its own student {config.student}; give it another output.")
    live, base = student_and_base(config.student, config.base)
    remember_prompts(live.network, base)
    if config.arc.rollout_blocks <= live.spec.context_blocks:
        log.warning(
            "A rollout of %d blocks never leaves the real context of %d; roll two or three windows out to train on "
            "what is heard in play.", config.arc.rollout_blocks, live.spec.context_blocks,
        )  # fmt: skip
    codec = Codec(live.network.autoencoder, live.network.config.sample_rate, live.network.config.codec_scale)
    declared = live.network.config.dit.further_controls
    made = sources_of([name for name, _ in declared], codec, sources, sketch=live.section.sketch)
    longest = live.spec.context_frames + longest_frames(
        config.arc.rollout_blocks, block_frames=live.spec.block_frames, drops=config.drops
    )
    with main_first(config.loop) as first:
        if first:
            write_json(output / "recipe.json", config)
        crops, held_out = controlled_crops_of(
            config.data, codec, declared, config.control_draws, batch_size=config.batch_size, seed=config.seed,
            longest_frames=longest, block_frames=live.spec.block_frames, sources=made,
        )  # fmt: skip
    channels = sum(count for _, count in declared)
    judge = LatentJudge(base, config.judge, seed=config.seed, control_channels=channels)
    objective = ArcObjective(
        live.network, judge, config.arc, spec=live.spec, seconds=live.window_seconds,
        frame_rate_hz=codec.frame_rate_hz,
    )  # fmt: skip

    def validate(average: dict[str, Tensor], step: int) -> dict[str, float]:
        played = post_trained(config, live, average, step)
        played.save(output / "model")
        return rollout_measures(played, held_out, blocks=config.arc.rollout_blocks)

    def sample(average: dict[str, Tensor], step: int) -> Audio:
        return example_of(config, post_trained(config, live, average, step))

    trained = train(
        objective, batches(config, live, crops), config=config.loop, folder=output, title="arc-forcing", recipe=config,
        validate=validate, sample=sample, optimisers={JUDGE: config.judge_optimiser}, stop_after=stop_after,
    )  # fmt: skip
    if trained.is_main:  # also where it was stopped: what there is can be listened to
        played = post_trained(config, live, trained.average, trained.step)
        played.save(output / "model")
        if trained.finished:
            write_sound(output / "example.wav", example_of(config, played))
    return trained


def student_and_base(student: str, base: str) -> tuple[LiveModel, Network]:
    """The live model to train, its tensors its own, and the offline network for the judge's trunk.

    Raises LmdmError when the student is no live model or is played by outpainting, when the base is a live model, and
    when the two have other latents.
    """
    live = live_from_checkpoint(read_checkpoint(locate(student)))
    if live.spec.regime == "outpaint":
        raise LmdmError(f"{student} plays by outpainting, which has no rollout to train; convert its base.")
    checkpoint = read_checkpoint(locate(base))
    if is_live(checkpoint):
        raise LmdmError(f"{base} is a live model; the judge needs the offline checkpoint that {student} came from.")
    network = offline_network(checkpoint)
    if not same_latents(live.network, network):
        raise LmdmError(f"{base} and {student} have different codecs; give the offline checkpoint that it came from.")
    return replace(live, network=set_trainable(rebuilt(live.network))), rebuilt(network)


def same_latents(one: Network, other: Network) -> bool:
    """Whether both hear sounds as the same latents: encoders and scales are equal, decoders may differ.

    Encoders are compared in half precision, in which models may have been bundled.
    """
    scales = [network.config.codec_scale for network in (one, other)]
    ours, theirs = (network.autoencoder.encoder.state_dict() for network in (one, other))
    same = all(name in theirs and torch.equal(value.half(), theirs[name].half()) for name, value in ours.items())
    return same and ours.keys() == theirs.keys() and scales[0] == scales[1]


def batches(config: ArcForcingRecipe, live: LiveModel, crops: ControlCrops) -> Callable[[int], Batch]:
    """Batches of the objective: real clips `b c n`, their prompts, partners of those, lengths of rolled blocks, and
    frame controls `b e n`: as they are played with, at lag 0, and those of other clips at lag 0.

    Everything is a function of the index; a micro-batch whose prompts are all alike finds partners in batches before,
    and one of a single row finds other controls there.
    """
    context = live.spec.context_frames

    def prompts_of(index: int, frames: int) -> list[str]:
        return list(crops.crops.batch(index, frames).prompts)

    def batch(index: int) -> Batch:
        lengths = block_lengths(
            config.arc.rollout_blocks, block_frames=live.spec.block_frames, drops=config.drops,
            draws=numpy_draws(config.seed, index, "rolled lengths"),
        )  # fmt: skip
        frames = context + sum(lengths)
        latents, prompts, controls, aligned = crops.batch(index, frames)
        partners, earlier = partner_prompts(prompts), index - 1
        while None in partners and earlier >= max(0, index - EARLIER_BATCHES):
            partners = partner_prompts(prompts, prompts_of(earlier, frames))
            earlier -= 1
        other = aligned if len(latents) > 1 or not index else crops.batch(index - 1, frames).aligned
        misheard = None if other is None else other.roll(1, dims=0)
        return latents, prompts, partners, lengths, controls, aligned, misheard

    return batch


def post_trained(config: ArcForcingRecipe, live: LiveModel, average: dict[str, Tensor], step: int) -> LiveModel:
    """The live model with averaged weights, told to play as it was trained."""
    section = replace(live.section.fine_tuned(step), sampling=config.arc.sampling)
    return LiveModel(averaged(live.network, average), section, live.host_config)


def example_of(config: ArcForcingRecipe, played: LiveModel) -> Audio:
    """A sound of the model that plays."""
    return streamed_example(played, config.example_prompt, seconds=config.example_seconds, seed=config.seed)


if __name__ == "__main__":
    recipe_command(ArcForcingRecipe, run)
