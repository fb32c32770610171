"""ARC-Forcing on two processes equals one that accumulates: rollouts, noise and partners go by the batch's number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import MODEL_NAME, read_tensors
from lmdm_adapter.recipes import arc_forcing
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.data import RecordingData
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.latent_judge import LatentJudgeConfig
from lmdm_adapter.training.loop import LoopConfig
from tests.cli import save_offline
from tests.models import SPEC
from tests.processes import finish, launch
from tests.recordings import write_sound

NAMES = ("slow-piano", "warm-house", "dark-techno", "bright-bells")


def recipe_in(folder: Path, name: str) -> ArcForcingRecipe:
    """Rows of one clip each: the very first has no partner, which a later one finds in the batches before it."""
    for number, sound in enumerate(NAMES):
        write_sound(folder / "music" / f"{sound}.wav", 60, seed=number)
    base, student = save_offline(folder / "base"), folder / "student"
    lmdm.convert(base, SPEC).save(student)
    return ArcForcingRecipe(
        output=str(folder / name), student=str(student), base=str(base),
        data=RecordingData(str(folder / "music"), str(folder / "latents"), 0.25), batch_size=1, seed=7,
        example_seconds=0.1,
        arc=ArcConfig(sampling=lmdm.Sampling(steps=2), rollout_blocks=3, cold=0.3, judge_first_steps=1),
        judge=LatentJudgeConfig(channels=(8, 8), strides=(1, 2)),
        loop=LoopConfig(steps=4, learning_rate=1e-3, warmup_steps=2, average_decay=0.9, log_every_steps=1, cpu=True),
    )  # fmt: skip


def trained(recipe: ArcForcingRecipe) -> dict[str, torch.Tensor]:
    """The tensors of the model that a run saved."""
    return read_tensors(Path(recipe.output) / "model" / MODEL_NAME)


def judge_of(recipe: ArcForcingRecipe) -> dict[str, torch.Tensor]:
    """The weights of the judge in a run's checkpoint."""
    weights = torch.load(Path(recipe.output) / "checkpoint.pt", weights_only=True)["objective"]
    return {name: value for name, value in weights.items() if name.startswith("judge.")}


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys() and one
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


@pytest.mark.slow
def test_arc_forcing_on_two_processes_equals_one_that_accumulates(tmp_path: Path, one_thread: None) -> None:
    alone, half, together = (recipe_in(tmp_path, name) for name in ("alone", "half", "together"))
    alone = replace(alone, loop=replace(alone.loop, accumulate=2))
    assert arc_forcing.run(alone).finished and arc_forcing.run(half).finished
    write_json(tmp_path / "recipe.json", together)
    (told,) = finish([launch("lmdm_adapter.recipes.arc_forcing", "--config", str(tmp_path / "recipe.json"))])
    assert told.count("arc-forcing step 4/4") == 1
    assert difference(trained(alone), trained(together)) < 1e-6 < 1e-4 < difference(trained(half), trained(together))
    assert difference(judge_of(alone), judge_of(together)) < 1e-6
    for one, other in zip(read_log(tmp_path / "alone"), read_log(tmp_path / "together"), strict=True):
        assert one.keys() == other.keys() >= {"judge/contrastive", "judge/margin"}, "though the first batch lacks one"
        timeless = [name for name in one if name not in ("seconds_per_step", "peak_memory_mib")]
        assert [other[name] for name in timeless] == pytest.approx([one[name] for name in timeless], rel=1e-3, abs=1e-5)
