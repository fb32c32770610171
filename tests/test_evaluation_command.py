"""`lmdm evaluate`: tables, reports, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lmdm_adapter.evaluation import music
from lmdm_adapter.evaluation.frechet import Distance
from lmdm_adapter.evaluation.tempo import tempo_matches
from tests.cli import done, lmdm, names, save_live, sentence


def figures(cold: float) -> music.MusicReport:
    """A made-up report whose cold streams are at the distance `cold`."""
    values = {"real": 30.0, "codec": 60.0, "cold": cold, "untrained": 800.0, "shuffled": 200.0, "loop": 300.0}
    distances = {
        name: Distance(value, value - 5, value + 5, (1024, 8192), np.linspace(value - 5, value + 5, 9))
        for name, value in values.items()
    }
    return music.MusicReport(
        plan=music.MusicPlan(), distances=distances, floor=Distance(9.0, 5.0, 15.0, (4096, 4096), np.zeros(2)),
        nearest_loop=250.0, tempos={"cold": tempo_matches([100, 120, 140], [100, 120, 90])}, explained=0.97,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["music", "soak"])
def test_help_loads_no_torch_and_says_how_long_it_takes(root, command):
    code = (
        "import sys\nfrom lmdm_adapter.cli import app\n"
        f"app(['evaluate', {command!r}, '--help'], standalone_mode=False)\n"
        "sys.exit(1 if {'torch', 'numpy'} & set(sys.modules) else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Takes" in result.stdout and "Targets" in result.stdout


def test_soak_prints_targets_and_writes_its_report(tmp_path):
    model, report = save_live(tmp_path / "model"), tmp_path / "report.json"
    text = done("evaluate", "soak", model, "--minutes", 0.03, "--json", report)
    assert "real-time factor" in text and "Targets" in text
    assert json.loads(report.read_text())["blocks"] == 38


def test_music_prints_every_figure_and_decides(tmp_path, monkeypatch):
    model, report = save_live(tmp_path / "model"), tmp_path / "report.json"
    monkeypatch.setattr(music, "evaluate_music", lambda live, plan, progress: figures(90.0))
    monkeypatch.setenv("COLUMNS", "200")
    text = done("evaluate", "music", model, "--json", report, "--strict")
    assert all(f"{value}" in text for value in (30.0, 60.0, 90.0, 800.0, 200.0, 300.0, 250.0, 9.0))
    assert "MISS" not in text and "67%" in text
    assert json.loads(report.read_text())["passed"] is True


def test_strict_fails_when_a_target_is_missed(tmp_path, monkeypatch):
    model = save_live(tmp_path / "model")
    monkeypatch.setattr(music, "evaluate_music", lambda live, plan, progress: figures(101.0))
    assert "MISS" in done("evaluate", "music", model)
    result = lmdm("evaluate", "music", model, "--strict")
    assert result.exit_code == 1 and "MISS" in result.stdout


def test_bad_input_is_a_sentence_before_any_work(tmp_path):
    model = save_live(tmp_path / "model")
    assert "at least 1000 windows" in sentence("evaluate", "music", model, "--windows", 999)
    assert "prompts" in sentence("evaluate", "music", model, "--prompts", 1000)
    assert "positive number of minutes" in sentence("evaluate", "soak", model, "--minutes", 0)
    assert "does not exist" in sentence("evaluate", "soak", model, "--json", tmp_path / "no" / "where.json")
    # The tiny model plays 1000 Hz, and songs need more.
    assert "8000 Hz" in sentence("evaluate", "music", model, "--json", tmp_path / "report.json")
    assert names(tmp_path) == ["model"]
