"""Going on from what is in a folder: damage is named, and so is a change of what the run learns from."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.data import LatentData, RecordingData
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.loop import LoopConfig, Trained, train
from lmdm_adapter.training.loop_config import OptimiserConfig
from lmdm_adapter.training.run_facts import facts_of
from tests.trained_together import CONFIG, fit, new, points


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def locked(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""), "garbage": lambda path: path.write_bytes(b"no checkpoint" * 9),
    "cut off": cut_off, "another thing": lambda path: torch.save({"step": 3}, path),
    "no dictionary": lambda path: torch.save([1], path), "a folder": locked,
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    fit("line", tmp_path, stop_after=2)
    DAMAGES[damage](tmp_path / "checkpoint.pt")
    with pytest.raises(LmdmError, match=r"checkpoint\.pt is damaged \(.+\); put a good copy .* delete it"):
        fit("line", tmp_path)


def test_lines_that_were_half_written_are_left_out(tmp_path: Path) -> None:
    fit("line", tmp_path, stop_after=4)
    log = tmp_path / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'17\n{"loss": 1.0}\n{"step": 5, "lo\xc3')
    assert fit("line", tmp_path)[0].finished
    assert [record["step"] for record in read_log(tmp_path)] == [2, 4, 6], "the next report has a line of its own"
    assert (tmp_path / "loss.png").stat().st_size > 0


@dataclass(frozen=True)
class Recipe:
    """A recipe of a line."""

    output: str = "here"
    data: LatentData | RecordingData = LatentData("songs")
    batch_size: int = 4
    seed: int = 0
    example_prompt: str = "house"
    checkpointed: bool = False
    judge_optimiser: OptimiserConfig = OptimiserConfig()
    loop: LoopConfig = CONFIG


def gone_on(folder: Path, recipe: object, caplog: pytest.LogCaptureFixture, *, steps: int) -> tuple[Trained, list[str]]:
    """A run with this recipe up to some step, and the warnings in it."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="lmdm_adapter"):
        trained = train(
            new("line"), points, config=getattr(recipe, "loop", CONFIG), folder=folder, title="line", recipe=recipe,
            stop_after=steps,
        )  # fmt: skip
    return trained, [record.getMessage() for record in caplog.records]


def test_what_a_run_learns_from_is_not_changed_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert gone_on(tmp_path, Recipe(), caplog, steps=1)[1] == []
    other = Recipe(data=RecordingData("music", "songs"), batch_size=8, seed=3, loop=replace(CONFIG, accumulate=2))
    trained, (told,) = gone_on(tmp_path, other, caplog, steps=2)
    assert trained.step == 2, "it is allowed"
    for change in ("batches per step (accumulate times processes) (1, now 2)", 'data.kind ("latents", now "audio")',
                   'data.folder ("songs", now "music")', 'data.latents (none, now "songs")',
                   "batch_size (4, now 8)", "seed (0, now 3)"):  # fmt: skip
        assert change in told
    assert told.count(", now ") == 6
    assert gone_on(tmp_path, other, caplog, steps=3)[1] == [], "it was said once"


def test_other_rates_lengths_and_logs_go_on_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone_on(tmp_path, Recipe(), caplog, steps=1)
    other = Recipe(
        output="there", example_prompt="techno", checkpointed=True, judge_optimiser=OptimiserConfig(learning_rate=1.0),
        loop=replace(CONFIG, steps=9, learning_rate=0.1, log_every_steps=1, average_decay=0.5, checkpoint_minutes=1.0),
    )  # fmt: skip
    assert gone_on(tmp_path, other, caplog, steps=2)[1] == []


def test_a_checkpoint_from_before_settings_were_kept_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone_on(tmp_path, Recipe(), caplog, steps=1)
    path = tmp_path / "checkpoint.pt"
    old = {name: value for name, value in torch.load(path, weights_only=True).items() if name != "facts"}
    torch.save(old, path)
    trained, told = gone_on(tmp_path, Recipe(seed=1), caplog, steps=2)
    assert trained.step == 2 and told == []


def test_accumulating_and_sharing_out_are_one() -> None:
    """Four batches per step are four, on one process or on four; the values are JSON."""
    facts = facts_of(Recipe(), batches_per_step=4)
    assert facts_of(None, batches_per_step=4).items() <= facts.items()
    assert json.loads(facts["data.folder"]) == "songs" and "output" not in facts and "loop.steps" not in facts
