"""`lmdm evaluate MODEL`: outputs whole or not at all, and bad input as a sentence before any work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.cli import references
from lmdm_adapter.evaluation import frechet, page, report, report_plan, ruler
from lmdm_adapter.io import atomic
from tests.cli import done, names, save_live, sentence
from tests.test_evaluation_music import RATE, model

QUICK = ("--minutes", 0.35, "--streams", 2, "--window-seconds", 10, "--steps", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place with a model of 8000 Hz, where reports are small."""
    monkeypatch.setattr(frechet, "LEAST_WINDOWS", 50)
    monkeypatch.setattr(report_plan, "LEAST_STREAMS", 2)
    monkeypatch.setattr(ruler, "TRAINING_SONGS", 8)
    evaluate = report.evaluate_report

    def small(contender, plan, **settings):
        return evaluate(contender, replace(plan, draws=4, known_songs=2, reference_songs=2, players=1), **settings)

    monkeypatch.setattr(report, "evaluate_report", small)
    model().save(tmp_path / "model")
    return tmp_path


def write_recording(path, seconds: float, rate: int = 2 * RATE) -> None:
    """A stereo recording of noise at another rate."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, (round(seconds * rate), 2))
    soundfile.write(str(path), noise, rate)


def test_a_model_gets_a_table_a_page_and_json(folder, monkeypatch):
    """The issue's own form, without naming a sub-command, with recordings of another rate for a reference."""
    monkeypatch.setenv("COLUMNS", "240")
    (folder / "music" / "more").mkdir(parents=True)
    write_recording(folder / "music" / "one.wav", 12.0)
    write_recording(folder / "music" / "more" / "two.flac", 11.0)
    write_recording(folder / "music" / "short.wav", 9.0)
    (folder / "music" / "broken.wav").write_bytes(b"RIFF")
    (folder / "music" / "cover.jpg").write_text("no sound")
    out, html = folder / "report.json", folder / "report.html"
    text = done(
        "evaluate", folder / "model", "--reference", folder / "music", *QUICK, "--json", out, "--html", html,
        "--baseline", folder / "model", "--baseline-guidance", 3, "--baseline-steps", 2, "--baseline-sampler", "euler",
    )  # fmt: skip
    assert "kernel distance" in text and "slope per minute" in text and "primed chord_root" in text
    read = json.loads(out.read_text())
    assert "2 files were skipped:\n  broken.wav: cannot be read as sound" in text and "1 .jpg" in text
    assert "  short.wav: is too short: 9.0 s are less than 10 s." in text
    assert read["reference"] == f"2 recordings in {folder / 'music'} (2 files skipped)"
    assert read["model"]["sampling"]["steps"] == 1
    theirs = read["baseline"]["sampling"]
    assert (theirs["guidance"], theirs["steps"], theirs["sampler"]) == (3.0, 2, "euler")
    assert read["model"]["sampling"]["sampler"] == model().sampling.sampler != "euler", "they are the baseline's alone"
    assert read["baseline"]["guidance_tried"] == []
    assert html.read_text().startswith("<!doctype html>")
    assert names(folder) == ["model", "music", "report.html", "report.json"]


def test_help_loads_no_torch_and_says_how_long_it_takes(root):
    code = (
        "import sys\nfrom lmdm_adapter.cli import app\n"
        "app(['evaluate', 'report', '--help'], standalone_mode=False)\n"
        "sys.exit(1 if {'torch', 'numpy'} & set(sys.modules) else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Takes" in result.stdout and "three quarters of an hour" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--streams", 15), "16 to 64 streams, got 15"),
        (("--minutes", 0), "positive number of minutes"),
        (("--minutes", 0.5), "play 1 minutes or more"),
        (("--window-seconds", 5), "at least 10 s"),
        (("--reference", "nowhere"), "no folder nowhere"),
        (("--baseline", "nowhere"), "no model 'nowhere'"),
        (("--baseline-guidance", 3), "name one with --baseline"),
        (("--baseline-steps", 3), "--baseline-steps says how a baseline plays; name one"),
        (("--baseline-sampler", "euler"), "--baseline-sampler says how a baseline plays; name one"),
        (("--guidance", 1000), "Guidance must lie between 0 and 100"),
        (("--json", "no/where.json"), "does not exist"),
        (("--html", "no/where.html"), "does not exist"),
        (("--html", "x", "--json", "x"), "both name x"),
        (("--embedding", str(Path(__file__).parent)), "CLAP checkpoint"),
    ],
)
def test_bad_input_is_a_sentence_before_any_playing(arguments, words, tmp_path, monkeypatch):
    model().save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ruler, "TRAINING_SONGS", 1)
    monkeypatch.setattr(report, "windows_together", None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert words in sentence("evaluate", "model", *arguments)
    assert names(tmp_path) == ["model"]


def test_a_reference_that_holds_too_little_is_a_sentence(tmp_path):
    live, music = save_live(tmp_path / "model"), tmp_path / "music"
    music.mkdir()
    write_recording(music / "one.wav", 12.0)
    write_recording(music / "short.wav", 9.0)
    words = sentence("evaluate", live, "--reference", music)
    assert "1 sound files of 10 s or more among 2" in words and "short.wav: is too short: 9.0 s" in words
    assert "is a file" in sentence("evaluate", live, "--reference", music / "one.wav")


def test_a_bad_file_is_left_out_of_a_reference_and_named(tmp_path):
    """Also one that begins well and breaks off; files of any suffix of sound are tried."""
    music = tmp_path / "music"
    music.mkdir()
    for name in ("one.wav", "two.wav", "cut.flac"):
        write_recording(music / name, 12.0)
    (music / "cut.flac").write_bytes((music / "cut.flac").read_bytes()[:200_000])
    shutil.copy(music / "one.wav", music / "three.m4a")
    found = references.recordings(music)
    assert [path.name for path in found.files] == ["one.wav", "three.m4a", "two.wav"]
    assert [one.file for one in found.skipped] == ["cut.flac"] and found.skipped[0].reason
    assert len(references.Recordings(found.files, RATE)[0].samples[0]) == 12 * RATE


def test_silence_is_no_reference(tmp_path):
    """Nor is a recording whose first two minutes, which are all that is heard of it, are silent."""
    for name, second in (("one", 0), ("two", 119), ("late", 121), ("never", None)):
        samples = np.zeros(125 * 1000)
        if second is not None:
            samples[second * 1000] = 0.5
        soundfile.write(str(tmp_path / f"{name}.wav"), samples, 1000)
    found = references.recordings(tmp_path)
    assert [path.name for path in found.files] == ["one.wav", "two.wav"]
    assert [(one.file, "silent" in one.reason) for one in found.skipped] == [("late.wav", True), ("never.wav", True)]
    assert references.Recordings(found.files, 1000)[0].seconds == 120.0


def test_a_missing_package_is_named_with_its_cure(tmp_path, monkeypatch):
    live = save_live(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "mir_eval", None)
    words = sentence("evaluate", live)
    assert "mir_eval" in words and "pip install 'lmdm-adapter[evaluate]'" in words


def test_what_was_there_survives_a_report_that_cannot_be_written(tmp_path, monkeypatch):
    live, page_file = save_live(tmp_path / "model"), tmp_path / "report.html"
    page_file.write_text("old")
    monkeypatch.setattr(report, "evaluate_report", lambda *_, **__: None)
    monkeypatch.setattr(page, "report_page", lambda _: "new")
    replaced: list[str] = []

    def full(source, target):
        replaced.append(str(target))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    assert "No space left" in sentence("evaluate", live, "--html", page_file)
    assert replaced == [str(page_file)] and page_file.read_text() == "old"
    assert names(tmp_path) == ["model", "report.html"]
