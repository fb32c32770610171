"""What a run says while it trains: what a step costs, how held-out batches do, and when its picture is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation.memory import peak_rss_bytes
from lmdm_adapter.training import journal
from lmdm_adapter.training.held_out import held_out_loss
from lmdm_adapter.training.journal import draw_losses, read_log
from lmdm_adapter.training.loop import Batch, train
from lmdm_adapter.training.peak_memory import most_memory_bytes
from tests.trained_together import CONFIG, fit, new, points


class Machine:
    """A clock that goes on by two seconds with every batch, and memory that grows by a MiB."""

    def __init__(self) -> None:
        self.seconds, self.bytes = 0.0, 0

    def batch(self, index: int) -> Batch:
        self.seconds, self.bytes = self.seconds + 2.0, self.bytes + 2**20
        return points(index)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(journal, "time", SimpleNamespace(monotonic=lambda: machine.seconds))
    monkeypatch.setattr(journal, "most_memory_bytes", lambda device: machine.bytes)
    return machine


def test_every_report_says_what_a_step_costs(tmp_path: Path, machine: Machine, capsys) -> None:
    """The first one too, and the first of a run that goes on: each counts the steps that it was there for."""
    fit("line", tmp_path, batch=machine.batch, stop_after=3)
    fit("line", tmp_path, batch=machine.batch)
    records = read_log(tmp_path)
    assert [record["step"] for record in records] == [2, 4, 6]
    assert [record["seconds_per_step"] for record in records] == [2.0, 2.0, 2.0]
    assert [record["peak_memory_mib"] for record in records] == [2.0, 4.0, 6.0]
    assert "2.00 s/step, 0.0 GiB, 0 min left" in " ".join(capsys.readouterr().err.split())


def test_a_system_that_does_not_tell_its_memory_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "most_memory_bytes", lambda device: None)
    fit("line", tmp_path)
    assert all("peak_memory_mib" not in record for record in read_log(tmp_path))


def test_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tensors on a GPU, of the process elsewhere."""
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: asked.append(device) or 7)
    assert most_memory_bytes(torch.device("cuda:1")) == 7 and asked == [torch.device("cuda:1")]
    assert most_memory_bytes(torch.device("cpu")) == peak_rss_bytes() and len(asked) == 1


def test_the_picture_is_drawn_anew_at_every_validation_and_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at the end; what it shows then are all reports so far."""
    drawn: list[int] = []
    monkeypatch.setattr(journal, "draw_losses", lambda folder: drawn.append(len(read_log(folder))))
    train(
        new("line"), points, folder=tmp_path, title="line", validate=lambda average, step: {"loss": 1.0},
        config=replace(CONFIG, log_every_steps=1, validate_every_steps=2, sample_every_steps=3),
        sample=lambda average, step: Audio(np.zeros((1, 8), dtype=np.float32), 1000),
    )  # fmt: skip
    assert drawn == [2, 3, 4, 6, 6, 6]


def test_the_held_out_loss_is_the_mean_of_four_fixed_batches() -> None:
    objective, asked = new("line"), []
    average = dict(objective.state_dict())
    found = held_out_loss(objective, average, lambda step: asked.append(step) or points(step))
    losses = [objective(*points(step), step)["loss"].item() for step in range(4)]
    assert asked == [0, 1, 2, 3] and found == {"loss": pytest.approx(sum(losses) / 4)} and len(set(losses)) == 4


def test_the_picture_shows_losses_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step costs is not on the scale of a loss."""
    shown = []
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda self, **_: shown.extend(self.get_lines()))
    fit("line", tmp_path)
    shown.clear()
    draw_losses(tmp_path)
    assert {line.get_label() for line in shown} == {"loss", "size", "rare"}
