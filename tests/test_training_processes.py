"""Two real processes on the CPU equal one that accumulates; they stop together and go on together."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import codec
from lmdm_adapter.training.codec_files import load_codec
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.run_facts import facts_of
from tests.miniature import codec_recipe
from tests.processes import LONGEST_SECONDS, finish, launch, start
from tests.trained_together import CONFIG, fit, points

PROCESSES = (0, 1)


def kept(folder: Path, training: str, process: int) -> dict[str, object]:
    """What a process had at the end of a training: step, weights and averaged weights."""
    return torch.load(folder / training / f"process-{process}.pt", weights_only=True)


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Over all tensors of two state dicts of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes trained: a line, a game in two sittings, and a line that one of them was asked to leave."""
    folder = tmp_path_factory.mktemp("together")
    errors = finish(start(["-m", "tests.trained_together", str(folder), "line", "game@3", "game", "line!"]))
    (folder / "errors.txt").write_text("\n---\n".join(errors))
    return folder


@pytest.mark.parametrize("name", ["line", "game"])
def test_two_processes_equal_one_that_accumulates(folder: Path, tmp_path: Path, name: str) -> None:
    trained, alone = fit(name, tmp_path / "alone", accumulate=2)
    _, half = fit(name, tmp_path / "half", accumulate=1)
    for process in PROCESSES:
        together = kept(folder, name, process)
        assert largest_difference(together["weights"], alone.state_dict()) < 1e-6
        assert largest_difference(together["average"], trained.average) < 1e-6
        assert largest_difference(together["weights"], half.state_dict()) > 1e-4


def test_the_log_is_that_of_one_process(folder: Path, tmp_path: Path) -> None:
    """Terms are averaged over the batches that had them, wherever those were; one process alone reports them."""
    fit("line", tmp_path, accumulate=2)
    together, alone = read_log(folder / "line"), read_log(tmp_path)
    assert [record["step"] for record in together] == [record["step"] for record in alone] == [2, 4, 6]
    for one, other in zip(together, alone, strict=True):
        assert set(one) == {"step", "seconds_per_step", "peak_memory_mib", "loss", "size", "rare", "gradient_norm"}
        for term in ("loss", "size", "rare", "gradient_norm"):
            assert one[term] == pytest.approx(other[term], abs=2e-6), term
        newest = points(2 * one["step"] - 1)[0]
        assert one["rare"] == pytest.approx(float(newest.mean()), abs=2e-6), "of the one batch that has it"
    first, second = (folder / "errors.txt").read_text().split("\n---\n")
    assert "step 2/6" in first and "step" not in second


def test_all_processes_stop_at_the_step_in_which_one_is_asked_to(folder: Path) -> None:
    assert [kept(folder, "line!", process)["step"] for process in PROCESSES] == [3, 3]
    saved = torch.load(folder / "line!" / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 3 < CONFIG.steps
    assert saved["facts"] == facts_of(None, batches_per_step=2), "one on each process"
    assert largest_difference(saved["objective"], kept(folder, "line!", 1)["weights"]) == 0.0


@pytest.mark.slow
def test_sharded_weights_train_and_resume_like_whole_ones(tmp_path: Path) -> None:
    """FSDP 2: every process holds half of each weight; the checkpoint holds all of it."""
    arguments = ["-m", "tests.trained_together", str(tmp_path), "sharded"]
    finish(start([*arguments, "line@3", "game@3"]))
    finish(start([*arguments, "line", "game"]))
    for name in ("line", "game"):
        trained, alone = fit(name, tmp_path / "alone" / name, accumulate=2)
        for process in PROCESSES:
            sharded = kept(tmp_path, name, process)
            assert largest_difference(sharded["weights"], alone.state_dict()) < 1e-6
            assert largest_difference(sharded["average"], trained.average) < 1e-6


@pytest.mark.slow
def test_a_recipe_under_accelerate_launch_equals_one_process_that_accumulates(tmp_path: Path, one_thread: None) -> None:
    """One process renders the songs, prints and writes; the weights are as if it had trained on all batches."""
    alone = replace(codec_recipe(tmp_path / "alone"), loop=replace(codec_recipe(tmp_path).loop, accumulate=2))
    assert codec.run(alone).finished
    write_json(tmp_path / "recipe.json", codec_recipe(tmp_path / "together"))
    (told,) = finish([launch("lmdm_adapter.recipes.codec", "--config", str(tmp_path / "recipe.json"))])
    assert told.count("codec step 4/4") == 1 and told.count("held out") == 1
    one, other = (load_codec(tmp_path / name / "codec").autoencoder.state_dict() for name in ("alone", "together"))
    assert largest_difference(one, other) < 1e-6


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_and_ends_and_the_run_goes_on(tmp_path: Path) -> None:
    recipe = codec_recipe(tmp_path)
    long = replace(recipe, loop=replace(recipe.loop, steps=100_000, validate_every_steps=0))
    write_json(tmp_path / "long.json", long)
    started = launch("lmdm_adapter.recipes.codec", "--config", str(tmp_path / "long.json"))
    log = tmp_path / "codec" / "log.jsonl"
    until = time.monotonic() + LONGEST_SECONDS
    while not log.exists() and time.monotonic() < until:
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=LONGEST_SECONDS)
    step = torch.load(tmp_path / "codec" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < step < 100_000
    more = replace(long, loop=replace(long.loop, steps=step + 1))
    assert codec.run(more).step == step + 1


def test_the_single_process_of_a_cpu_launch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    fit("line", tmp_path / "one")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(LmdmError, match="single process.*--multi_gpu"):
        fit("line", tmp_path / "two")
    monkeypatch.setenv("LOCAL_RANK", "0")
    fit("line", tmp_path / "three")
