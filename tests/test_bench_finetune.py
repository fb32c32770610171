"""`lmdm bench-finetune`: memory is what is kept, ratios are of target frames per second, rows match in memory."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import torch

from lmdm_adapter.bench import finetuning
from lmdm_adapter.bench import run as bench_run
from lmdm_adapter.bench.finetuning import FinetuningPlan, FinetuningReport, RecipeFigures, bench_finetuning
from lmdm_adapter.bench.shapes import SHAPES
from tests.cli import done, sentence
from tests.test_bench import TOY


@pytest.fixture(autouse=True)
def toy_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bench_run, finetuning):
        monkeypatch.setattr(module, "SHAPES", {**SHAPES, "toy": TOY})


def bench() -> finetuning._Bench:
    return finetuning._Bench(TOY, TOY.spec, torch.device("cpu"), precision="no")


def test_windows_get_the_fewest_rows_that_keep_as_much() -> None:
    toy = bench()
    report = bench_finetuning(FinetuningPlan("toy", blocks=8, rows=3, pairs=2))
    every, one = report.every_block, report.one_block
    assert every.saved_bytes == toy.saved_bytes(lambda: toy.every_block(3, 8)) <= one.saved_bytes
    assert one.saved_bytes == toy.saved_bytes(lambda: toy.one_block(one.rows))
    assert toy.saved_bytes(lambda: toy.one_block(one.rows - 1)) < every.saved_bytes


def test_frames_and_tokens_are_those_of_the_method() -> None:
    report = bench_finetuning(FinetuningPlan("toy", blocks=8, rows=2, pairs=2))
    every, one = report.every_block, report.one_block
    assert (every.target_frames, every.tokens) == (2 * 8 * 6, 2 * 8 * 13)
    assert (one.target_frames, one.tokens) == (one.rows * 6, one.rows * 25)
    assert report.bound == 25 / 13 and len(every.seconds) == len(one.seconds) == 2
    assert FinetuningPlan("sao-small").spec.block_frames == 48
    full = FinetuningPlan("sao-small")
    assert full.sequence_blocks == 8 and (192 + 48 + 1) / (2 * 48 + 1) == pytest.approx(2.48, abs=0.01)


def test_what_is_kept_is_counted_once_and_without_weights() -> None:
    toy, x = bench(), torch.randn(1000, requires_grad=True)
    weight = next(parameter for parameter in toy.dit.parameters() if parameter.ndim == 2)
    assert toy.saved_bytes(lambda: (x.exp()[:500] * 1.0).sum()) == 4000
    assert toy.saved_bytes(lambda: (x[:500] * x[500:]).sum()) == 4000
    assert toy.saved_bytes(lambda: (weight * weight).sum()) == 0


def test_steps_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that ticks once a reading every step lasts one tick; the first pair warms up."""
    ticks = itertools.count()
    monkeypatch.setattr(finetuning, "clock_of", lambda _device: lambda: float(next(ticks)))
    report = bench_finetuning(FinetuningPlan("toy", blocks=4, pairs=3))
    assert report.every_block.seconds == report.one_block.seconds == (1.0, 1.0, 1.0)
    assert next(ticks) == 2 * 2 * 4


def test_a_step_learns() -> None:
    """Both recipes give every weight of the DiT a gradient; time without a backward pass would be half."""
    toy = bench()
    for step in (lambda: toy.every_block(1, 4), lambda: toy.one_block(1)):
        toy.timed(step)
        assert all(parameter.grad is not None for parameter in toy.dit.parameters())


def test_ratios_are_of_pairs() -> None:
    figures = RecipeFigures(1, 80, 0, 0, (1.0, 2.0, 4.0))
    report = FinetuningReport({}, figures, replace(figures, target_frames=20, seconds=(1.0, 1.0, 1.0)), 2.5)
    assert report.ratios == [4.0, 2.0, 1.0]
    assert report.to_json()["times_more_target_frames_per_second"] == {
        "median": 2.0, "least": 1.0, "most": 4.0, "bound": 2.5,
    }  # fmt: skip
    assert figures.target_frames_per_second == 40.0


def test_the_command_prints_a_table_and_writes_a_report(tmp_path) -> None:
    out = done("bench-finetune", "--shape", "toy", "--blocks", 4, "--pairs", 2, "--precision", "bf16",
               "--json", tmp_path / "x.json")  # fmt: skip
    assert "every block" in out and "times more target frames per second" in out
    report = json.loads((tmp_path / "x.json").read_text())
    assert report["every_block"]["target_frames_per_second"] > 0 and report["precision"] == "bf16"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shape", "huge"), ("'huge'", "sao-small")),
        (("--shape", "tiny", "--context-frames", 100), ("100", "12", "96")),
        (("--shape", "tiny", "--precision", "fp8"), ("'fp8'", "bf16")),
        (("--shape", "tiny", "--json", "/dev/null/x.json"), ("/dev/null",)),
    ],
)
def test_bad_settings_are_sentences(arguments: tuple[object, ...], words: tuple[str, ...]) -> None:
    said = sentence("bench-finetune", *arguments)
    assert all(word in said for word in words), said
