"""`lmdm stream`: exact length, same bits for the same seed, a report that adds up, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lmdm_adapter.sound_file import read_audio
from tests.cli import done, names, save_live, write_noise
from tests.models import SAMPLE_RATE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny live model on disk."""
    return save_live(tmp_path_factory.mktemp("models") / "live")


def played(model: Path, out: Path, *options: object) -> np.ndarray:
    """The samples that `lmdm stream house` writes."""
    done("stream", "house", "--model", model, "--out", out, *options)
    return read_audio(out).samples


def reported(model: Path, folder: Path, *options: object) -> dict[str, Any]:
    """The report of half a second of music."""
    report = folder / "report.json"
    played(model, folder / "out.wav", "--seconds", 0.5, "--json", report, *options)
    return json.loads(report.read_text())


@pytest.mark.parametrize("seconds", [0.5, 0.048, 0.0014, 1e-9])
def test_the_file_has_exactly_the_seconds_asked_for(model: Path, tmp_path: Path, seconds: float) -> None:
    samples = played(model, tmp_path / "out.wav", "--seconds", seconds)
    assert samples.shape == (1, max(1, round(seconds * SAMPLE_RATE)))
    assert names(tmp_path) == ["out.wav"]


def test_a_shorter_file_is_the_beginning_of_a_longer_one(model: Path, tmp_path: Path) -> None:
    short = played(model, tmp_path / "short.wav", "--seconds", 0.31)
    long = played(model, tmp_path / "long.wav", "--seconds", 0.5)
    assert np.array_equal(short, long[:, : short.shape[1]])


def test_same_seed_same_bits_and_every_knob_matters(model: Path, tmp_path: Path) -> None:
    base = played(model, tmp_path / "a.wav", "--seconds", 0.3, "--seed", 7)
    again = played(model, tmp_path / "b.wav", "--seconds", 0.3, "--seed", 7)
    assert np.array_equal(base, again) and np.abs(base).max() > 0
    prime = write_noise(tmp_path / "prime.wav")
    knobs = (
        ["--seed", 8], ["--seed", 7, "--steps", 5], ["--seed", 7, "--guidance", 3], ["--seed", 7, "--sampler", "euler"],
        ["--seed", 7, "--prime", prime], ["--seed", 7, "--dtype", "bfloat16"],
        ["--seed", 7, "--look-ahead-frames", 1],
    )  # fmt: skip
    for knob in knobs:
        other = played(model, tmp_path / "c.wav", "--seconds", 0.3, *knob)
        assert other.shape == base.shape and not np.array_equal(other, base), knob


def test_flac_is_written_by_its_suffix(model: Path, tmp_path: Path) -> None:
    played(model, tmp_path / "out.flac", "--seconds", 0.3)
    assert soundfile.info(str(tmp_path / "out.flac")).format == "FLAC"


def test_the_report_adds_up(model: Path, tmp_path: Path) -> None:
    report = reported(model, tmp_path, "--seed", 3, "--steps", 2)
    blocks = report["blocks"]
    assert [block["index"] for block in blocks] == list(range(len(blocks)))
    assert report["seconds"] == pytest.approx(sum(block["audio_seconds_made"] for block in blocks)) == 0.5
    assert report["samples"] == 500 and report["sample_rate"] == SAMPLE_RATE
    compute_seconds = sum(block["compute_seconds"] for block in blocks)
    for block in blocks:
        made, factor = block["audio_seconds_made"], block["real_time_factor"]
        assert factor == (pytest.approx(block["compute_seconds"] / made) if made else None)
    assert report["compute_seconds"] == pytest.approx(compute_seconds) and compute_seconds > 0
    assert report["real_time_factor"] == pytest.approx(compute_seconds / 0.5)
    assert report["seed"] == 3 and report["sampling"]["steps"] == 2 and report["prompt"] == "house"
    assert report["spec"]["block_frames"] == 6 and report["model"] == str(model)
    assert 0 < report["first_audio_seconds"] <= compute_seconds
    # The system counts pages in batches, so the two figures agree only roughly.
    assert report["peak_rss_bytes"] > 0.9 * max(block["rss_bytes"] for block in blocks) > 0


def test_first_sound_waits_for_the_look_ahead(model: Path, tmp_path: Path) -> None:
    report = reported(model, tmp_path)
    silent = [block for block in report["blocks"] if block["audio_seconds_made"] == 0]
    first = report["blocks"][len(silent)]
    assert silent, "exact decoding holds back more than this model's block"
    waited = sum(block["compute_seconds"] for block in [*silent, first])
    assert report["first_audio_seconds"] == pytest.approx(waited)


def stopped(model: Path, folder: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Start a long stream, send it a signal while it writes, and wait for its end."""
    command = ["stream", "house", "--model", str(model), "--seconds", "80000", "--out", str(folder / "out.wav")]
    process = subprocess.Popen(
        [sys.executable, "-m", "lmdm_adapter", *command, "--json", str(folder / "report.json")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl-C
    )  # fmt: skip
    try:
        return signalled(process, command, folder, number)
    finally:
        process.kill()


def signalled(
    process: subprocess.Popen[str], command: list[str], folder: Path, number: int
) -> subprocess.CompletedProcess[str]:
    """Send a signal once blocks are being written, and wait for the end."""
    deadline = time.monotonic() + 60
    # A part beyond the header's size means that blocks are being written.
    while not any(path.stat().st_size > 1000 for path in folder.glob(".out*")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_keeps_nothing(model: Path, tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "out.wav").write_text("what was there before")
    result = stopped(model, tmp_path, number)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert names(tmp_path) == ["out.wav"] and (tmp_path / "out.wav").read_text() == "what was there before"
