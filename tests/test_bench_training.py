"""`lmdm bench-training`: recipes run as they ship, at the shape that is named, and what is told is their own log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from lmdm_adapter.bench import training_cost
from lmdm_adapter.bench.drawn_model import dit_of, drawn_config
from lmdm_adapter.bench.shapes import SHAPES
from lmdm_adapter.bench.training_cost import RECIPES, TrainingPlan, apart, config_of, measure
from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.oobleck import AudioAutoencoder
from lmdm_adapter.training.configs import SHIPPED, read_config
from tests.cli import done, sentence
from tests.test_bench import TOY

CHANGED = {
    "output", "data.kind", "data.folder", "data.latents", "data.config", "data.held_out_share", "batch_size",
    "loop.accumulate", "loop.log_every_steps", "loop.validate_every_steps", "loop.checkpoint_minutes", "loop.cpu",
}  # fmt: skip
OWN = {"finetune": {"base"}, "base": {"start"}, "arc_forcing": {"base", "student", "arc.judge_first_steps"}}


def of_shape(name: str) -> Codec:
    """The codec of a shape, without values."""
    with torch.device("meta"):
        return Codec(AudioAutoencoder(SHAPES[name].codec), SHAPES[name].sample_rate, 1.0)


@pytest.mark.parametrize("name", ["sao-small", "tiny"])
def test_the_checkpoint_that_is_drawn_has_the_shape(name: str) -> None:
    config = drawn_config(SHAPES[name], of_shape(name), window_frames=800)
    network = network_config(config)
    assert dit_of(config) == SHAPES[name].dit and network.sample_rate == SHAPES[name].sample_rate
    assert network.codec == SHAPES[name].codec


def test_a_shape_that_no_recipe_makes_is_refused() -> None:
    with pytest.raises(LmdmError, match="sao-small or tiny"):
        drawn_config(SHAPES["sao-1.0"], of_shape("sao-1.0"), window_frames=800)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_as_it_ships_but_for_rows_data_and_reports(name: str, tmp_path: Path) -> None:
    """Blocks, windows, rollouts, precision, checkpointing, optimisers: whatever costs something is the paper's."""
    cls, file = RECIPES[name]
    shipped = flat(asdict(read_config(cls, SHIPPED / file)))
    run = flat(asdict(config_of(name, TrainingPlan(rows=3), tmp_path)))
    assert {key for key in {**shipped, **run} if shipped.get(key) != run.get(key)} <= CHANGED | OWN[name]
    assert run["batch_size"] == 3 and run["loop.log_every_steps"] == 1 and shipped["loop.precision"] == "bf16"


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings by names such as `loop.steps`."""
    parts = [flat(value, f"{before}{name}.") for name, value in values.items() if isinstance(value, Mapping)]
    own = {f"{before}{name}": value for name, value in values.items() if not isinstance(value, Mapping)}
    return {name: value for part in (own, *parts) for name, value in part.items()}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A toy shape, trained in this process."""
    monkeypatch.setattr(training_cost, "SHAPES", {**SHAPES, "toy": TOY})
    monkeypatch.setattr(training_cost, "apart", lambda call, *arguments: call(*arguments))
    yield


def test_what_is_told_is_what_the_recipe_logs(
    toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    logged = []
    plain: Callable[..., Any] = training_cost.read_log
    monkeypatch.setattr(training_cost, "read_log", lambda folder: logged.extend(plain(folder)) or logged)
    figures = measure(TrainingPlan("toy", ("finetune",), steps=3), tmp_path)
    cost = figures["recipes"]["finetune"]
    assert len(logged) == 3 and cost["seconds"] == tuple(record["seconds_per_step"] for record in logged)
    assert min(cost["seconds"]) > 0.0 and cost["peak_memory_mib"] == logged[-1]["peak_memory_mib"] > 0.0
    steps = cost["seconds_after_the_first"]
    assert [steps["least"], steps["most"]] == sorted(cost["seconds"][1:]), "the first one warms up"
    assert not (tmp_path / "finetune").exists(), "checkpoints of full size would fill a disk"


def test_the_command_tells_every_recipe(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def trained(name: str, plan: TrainingPlan, folder: Path) -> list[dict[str, float]]:
        asked.append((name, plan.rows, plan.steps))
        (folder / name).mkdir()
        return [{"seconds_per_step": seconds, "peak_memory_mib": 2048.0} for seconds in (9.0, 1.0, 3.0)]

    monkeypatch.setattr(training_cost, "_trained", trained)
    monkeypatch.setattr(training_cost, "_prepare", lambda plan, folder: None)
    out = done("bench-training", "--shape", "tiny", "--rows", 2, "--steps", 3, "--json", tmp_path / "cost.json")
    assert asked == [(name, 2, 3) for name in RECIPES] and out.count("1.00 to 3.00") == out.count("2.0 GiB") == 3
    figures = json.loads((tmp_path / "cost.json").read_text())
    assert figures["recipes"]["arc_forcing"]["seconds_after_the_first"]["median"] == 2.0
    assert (figures["shape"], figures["rows"], figures["device"]) == ("tiny", 2, "cpu")


def test_a_process_that_dies_is_a_sentence() -> None:
    with pytest.raises(LmdmError, match="memory"):
        apart(os._exit, 1)


@pytest.mark.parametrize(("arguments", "word"), [(("--shape", "huge"), "'huge'"), (("--recipe", "codec"), "'codec'")])
def test_bad_settings_are_sentences(arguments: tuple[str, ...], word: str) -> None:
    assert word in sentence("bench-training", *arguments)


@pytest.mark.slow
def test_all_recipes_run_apart(tmp_path: Path) -> None:
    figures = measure(TrainingPlan("tiny", steps=2), tmp_path)
    assert set(figures["recipes"]) == set(RECIPES)
    assert all(cost["peak_memory_mib"] > 100.0 for cost in figures["recipes"].values())
