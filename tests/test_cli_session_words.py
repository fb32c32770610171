"""What sessions on files say: on what a recording was played, what is odd, and refusals before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.cli import done, sentence, write_noise
from tests.mode_models import RATE, listening_live


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that listens, and 0.2 s of noise."""
    place = tmp_path_factory.mktemp("words")
    listening_live(steps=1).save(place / "live")
    write_noise(place / "in.wav", samples=1600, channels=1, sample_rate=RATE)
    return place


def jammed(folder: Path, out: Path, *more: object) -> str:
    return done("jam", folder / "in.wav", "house", "-m", folder / "live", "--out", out, "--lead-seconds", 0.1, *more)


def sound(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def with_header(log: Path, change: Callable[[dict[str, Any]], None]) -> None:
    first, *rest = log.read_text().splitlines(keepends=True)
    header = json.loads(first)
    change(header)
    log.write_text(json.dumps(header) + "\n" + "".join(rest))


def older(header: dict[str, Any]) -> None:
    for name in ("dtype", "device", "threads", "versions"):
        del header[name]


def test_a_replay_plays_in_the_number_format_of_its_log(folder: Path, tmp_path: Path) -> None:
    jammed(folder, tmp_path / "out.wav", "--dtype", "bfloat16", "--record", tmp_path / "take")
    header = json.loads((tmp_path / "take" / "log.jsonl").read_text().splitlines()[0])
    assert (header["dtype"], header["device"], header["threads"]) == ("bfloat16", "cpu", torch.get_num_threads())
    said = done("replay", tmp_path / "take", "--out", tmp_path / "again.wav")
    assert "This was played" not in said
    assert np.array_equal(sound(tmp_path / "again.wav"), sound(tmp_path / "out.wav"))
    text = sentence("replay", tmp_path / "take", "--dtype", "float32", "--out", tmp_path / "no.wav")
    assert text == "This was played in bfloat16, not in float32; give --dtype bfloat16, or leave it out."


def test_a_replay_elsewhere_says_so_in_one_sentence_and_plays(folder: Path, tmp_path: Path) -> None:
    jammed(folder, tmp_path / "out.wav", "--record", tmp_path / "take")
    log, threads = tmp_path / "take" / "log.jsonl", torch.get_num_threads()
    with_header(log, lambda header: header.update(threads=99, versions={**header["versions"], "torch": "0.1"}))
    said = done("replay", log, "--out", tmp_path / "again.wav")
    (line,) = [line for line in said.splitlines() if line.startswith("This was played")]
    assert f"threads 99, torch 0.1, and here it is threads {threads}, torch {torch.__version__}: samples may" in line
    assert np.array_equal(sound(tmp_path / "again.wav"), sound(tmp_path / "out.wav"))
    with_header(log, older)
    assert "This was played" not in done("replay", log, "--out", tmp_path / "older.wav")
    assert np.array_equal(sound(tmp_path / "older.wav"), sound(tmp_path / "out.wav"))


def test_a_folder_that_holds_a_session_is_refused_before_the_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    more = ("-m", tmp_path / "no-such-model", "--record", tmp_path)
    for command in ("jam", "sketch", "delay"):
        seconds = ("--seconds", 1) if command == "delay" else ()
        text = sentence(command, folder / "in.wav", *more, *seconds, "--out", tmp_path / "out.wav")
        assert "holds a session already; record into another folder." in text
    assert "holds a session already" in sentence("live", *more)


def test_a_sound_is_no_session_log(folder: Path) -> None:
    assert "in.wav is no session log" in sentence("replay", folder / "in.wav", "--out", folder / "no.wav")


def test_a_jam_beyond_what_models_are_trained_for_says_so(folder: Path, tmp_path: Path) -> None:
    beyond = "that models are trained for"
    assert beyond not in jammed(folder, tmp_path / "out.wav")
    said = jammed(folder, tmp_path / "out.wav", "--lead-seconds", 3)
    (line,) = [line for line in said.splitlines() if beyond in line]
    assert line.startswith("A visibility of -3.") and "beyond the -2 s" in line
    assert beyond in jammed(folder, tmp_path / "out.wav", "--visibility-seconds", -2.5)
    assert beyond not in jammed(folder, tmp_path / "out.wav", "--visibility-seconds", -2.0)
