"""The recipe of ARC-Forcing: what it refuses, what it hands on to the training, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import arc_forcing, finetune
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.spec import Sampling
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.data import RecordingData
from lmdm_adapter.training.latent_judge import LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.loop import LoopConfig, OptimiserConfig
from tests.cli import save_offline
from tests.models import SPEC, tiny_offline
from tests.recordings import write_library

ROLLED_BLOCKS = 2


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an offline model, the live one that was made of it, and some music."""
    monkeypatch.chdir(tmp_path)
    lmdm.convert(save_offline(tmp_path / "base"), SPEC).save("student")
    write_library(tmp_path / "music")
    return tmp_path


def recipe(**settings: object) -> ArcForcingRecipe:
    """Two steps on the music of `place`."""
    loop = LoopConfig(steps=2, learning_rate=1e-2, warmup_steps=0, average_decay=0.5, log_every_steps=1, cpu=True)
    plain = ArcForcingRecipe(
        output="run", student="student", base="base", data=RecordingData("music", "latents", 0.2), batch_size=2,
        jitter_frames=0, example_seconds=0.2, judge=LatentJudgeConfig(channels=(8,), strides=(1,)), loop=loop,
        arc=ArcConfig(sampling=Sampling(steps=2), rollout_blocks=ROLLED_BLOCKS),
    )  # fmt: skip
    return replace(plain, **settings)


def spy(patch: pytest.MonkeyPatch, module: ModuleType, name: str, told: Callable[[tuple, object], object]) -> None:
    """Let `told` hear the arguments and the result of every call of a function that a module uses."""
    real = getattr(module, name)

    def heard(*given: object, **settings: object) -> object:
        made = real(*given, **settings)
        told(given, made)
        return made

    patch.setattr(module, name, heard)


def test_the_judge_is_the_offline_model_that_the_student_came_from(place: Path) -> None:
    arc_forcing.student_and_base("student", "base")
    arc_forcing.student_and_base("tiny", "tiny-base")
    with pytest.raises(LmdmError, match="tiny is a live model; the judge needs the offline checkpoint"):
        arc_forcing.student_and_base("tiny", "tiny")
    network, config = tiny_offline()
    config["model"]["pretransform"]["scale"] = 2.0
    write_checkpoint("base", network, config)
    with pytest.raises(LmdmError, match="base and student have different codecs"):
        arc_forcing.student_and_base("student", "base")


def test_codecs_are_compared_by_what_they_hear(place: Path) -> None:
    """As many channels are not enough; half precision and another decoder make no difference."""
    own = lmdm.load("student").network
    half, decoder, encoder = (tiny_offline()[0] for _ in range(3))
    half.half().float()
    with torch.no_grad():
        next(decoder.autoencoder.decoder.parameters()).add_(0.1)
        next(encoder.autoencoder.encoder.parameters()).add_(0.1)
    assert arc_forcing.same_latents(own, half) and arc_forcing.same_latents(own, decoder)
    assert not arc_forcing.same_latents(own, encoder)


def test_a_stopped_run_leaves_a_model_that_plays(place: Path) -> None:
    assert arc_forcing.run(recipe(), stop_after=1).step == 1
    stopped = lmdm.load("run/model")
    assert stopped.section.trained_steps == 1 and stopped.sampling == recipe().arc.sampling
    before, after = (live.network.dit.state_dict() for live in (lmdm.load("student"), stopped))
    assert any(not torch.equal(before[name], after[name]) for name in before), "it has learned"
    assert not Path("run/example.wav").exists()
    assert arc_forcing.run(recipe()).finished and Path("run/example.wav").exists()


def test_validation_measures_the_model_that_plays_on_held_out_clips(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured model is the one that is saved, with averaged weights; no clip of its training is heard."""
    crops, measured = [], []
    spy(monkeypatch, arc_forcing, "controlled_crops_of", lambda given, made: crops.extend(made))
    spy(monkeypatch, arc_forcing, "rollout_measures", lambda given, made: measured.append((given, made)))
    assert arc_forcing.run(recipe(loop=replace(recipe().loop, validate_every_steps=2))).finished
    [((played, held_out), figures)] = measured
    train, apart = ({clip.name for clip in one.crops.clips} for one in (crops[0], held_out))
    assert held_out is crops[1] and train and apart and not train & apart
    saved, start = (lmdm.load(name).network.dit.state_dict() for name in ("run/model", "student"))
    assert all(torch.equal(value, saved[name]) for name, value in played.network.dit.state_dict().items())
    assert any(not torch.equal(value, start[name]) for name, value in saved.items())
    assert played.sampling == recipe().arc.sampling and figures.keys() == {"mean", "spread", "motion"}


def test_both_players_learn_as_the_config_says_on_networks_that_remember_prompts(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered, trained = [], []
    spy(monkeypatch, arc_forcing, "remember_prompts", lambda given, made: remembered.extend(given))
    spy(monkeypatch, arc_forcing, "train", lambda given, made: trained.append(given[0]))
    still = OptimiserConfig(learning_rate=1e-12, warmup_steps=0)
    assert arc_forcing.run(recipe(judge_optimiser=still)).finished
    [objective] = trained
    assert remembered[0] is objective.network and remembered[1] is objective.judge.network
    student, base = arc_forcing.student_and_base("student", "base")
    assert distance(objective.judge, LatentJudge(base, recipe().judge)) < 1e-9, "its rate was next to nothing"
    assert distance(objective.network, student.network) > 1e-3, "the student has the loop's"


def distance(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of two weights."""
    return max(float((a - b).detach().abs().max()) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("recipe_of", [arc_forcing, finetune], ids=["arc-forcing", "finetune"])
def test_prompts_are_encoded_once_where_encoders_are_frozen(
    place: Path, monkeypatch: pytest.MonkeyPatch, recipe_of: ModuleType
) -> None:
    """A text encoder that cannot be had is said before any training."""

    def missing(*networks: object) -> None:
        raise LmdmError("no encoder")

    monkeypatch.setattr(recipe_of, "remember_prompts", missing)
    tuned = FinetuneRecipe(output="run", base="base", data=recipe().data, spec=SPEC, blocks=3, batch_size=2)
    with pytest.raises(LmdmError, match="no encoder"):
        recipe_of.run(recipe() if recipe_of is arc_forcing else tuned)
    assert not Path("run").exists()


def test_students_that_cannot_be_trained_are_refused(place: Path) -> None:
    with pytest.raises(LmdmError, match="would overwrite its own student run/model; give it another output"):
        arc_forcing.run(recipe(student="run/model"))
    lmdm.convert("base", replace(SPEC, regime="outpaint")).save("outpaint")
    with pytest.raises(LmdmError, match="outpaint plays by outpainting"):
        arc_forcing.run(recipe(student="outpaint"))
    with pytest.raises(LmdmError, match="base is an offline checkpoint"):
        arc_forcing.run(recipe(student="base"))
    assert not Path("run").exists() and not Path("latents").exists()
