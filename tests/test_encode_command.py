"""`lmdm encode`: the report, the list of bad files, and one sentence for every bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import done, lmdm, names, save_live, save_offline, sentence
from tests.recordings import write_bad_files, write_library, write_sound


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny live model on disk."""
    return save_live(tmp_path_factory.mktemp("models") / "live")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Five good files."""
    return write_library(tmp_path / "music")


def test_good_and_bad_files_end_in_a_summary(model: Path, music: Path, tmp_path: Path) -> None:
    reasons = write_bad_files(music / "bad")
    (music / "cover.jpg").write_bytes(b"picture")
    latents, report = tmp_path / "latents", tmp_path / "report.json"
    output = done("encode", music, latents, "--model", model, "--json", report)
    assert "5 clips" in output and "6 new" in output and "8 files were skipped" in output and "1 .jpg" in output
    for name, words in reasons.items():
        assert any(line.startswith(f"  bad/{name}: ") and words in line for line in output.splitlines()), output
    told = json.loads(report.read_text())
    assert told["clips"] == 5 and len(told["skipped"]) == 8 and 0.0 < told["real_time_factor"] < 1000.0
    again = done("encode", music, latents, "--model", model)
    assert "0 new" in again and "8 files were skipped" in again


def test_an_offline_checkpoint_has_a_codec_too(music: Path, tmp_path: Path) -> None:
    assert "5 clips" in done("encode", music, tmp_path / "latents", "--model", save_offline(tmp_path / "offline"))


def encode_fails(*arguments: object) -> str:
    """The sentence of an encode that must fail."""
    return sentence("encode", *arguments)


def test_folders_are_checked_before_the_model_is_opened(music: Path, tmp_path: Path) -> None:
    nobody = ("--model", "no-such-model")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "does not exist" in encode_fails(tmp_path / "no", tmp_path / "latents", *nobody)
    assert "is a file" in encode_fails(tmp_path / "file", tmp_path / "latents", *nobody)
    assert "is a file" in encode_fails(music, tmp_path / "file", *nobody)
    assert "'notes.txt'" in encode_fails(music, tmp_path / "full", *nobody)
    assert "'first'" in encode_fails(music, music, *nobody)
    assert "lies within" in encode_fails(music, music / "latents", *nobody)
    assert "does not exist" in encode_fails(music, tmp_path / "l", "--json", tmp_path / "no" / "r.json", *nobody)
    assert names(tmp_path) == ["file", "full", "music"] and names(tmp_path / "full") == ["notes.txt"]


def test_models_and_devices_that_are_not_there(model: Path, music: Path, tmp_path: Path) -> None:
    assert "no-such-model" in encode_fails(music, tmp_path / "latents", "--model", "no-such-model")
    assert "banana" in encode_fails(music, tmp_path / "latents", "--model", model, "--device", "banana")
    assert lmdm("encode", music, tmp_path / "latents", "--model", model, "--shard-megabytes", 0).exit_code == 2
    assert names(tmp_path) == ["music"]


def test_folders_without_a_usable_sound(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no sound files" in encode_fails(tmp_path / "empty", tmp_path / "latents", "--model", model)
    (tmp_path / "empty" / "cover.jpg").write_bytes(b"picture")
    assert "(but 1 .jpg)" in encode_fails(tmp_path / "empty", tmp_path / "latents", "--model", model)
    write_bad_files(tmp_path / "bad")
    assert "None of 8" in encode_fails(tmp_path / "bad", tmp_path / "latents", "--model", model)


def test_latents_of_another_model_and_corrupt_ones(model: Path, music: Path, tmp_path: Path) -> None:
    done("encode", music, tmp_path / "latents", "--model", model)
    other = save_live(tmp_path / "other", 1)
    assert "another codec" in encode_fails(music, tmp_path / "latents", "--model", other)
    shard = tmp_path / "latents" / "00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-5])
    assert "00000.safetensors" in encode_fails(music, tmp_path / "latents", "--model", model)


def test_names_that_no_terminal_can_show(model: Path, tmp_path: Path) -> None:
    write_sound(tmp_path / "music" / "good.wav")
    (tmp_path / "music" / "caf\udce9.wav").write_text("no sound")
    assert "caf?.wav: cannot be read" in done("encode", tmp_path / "music", tmp_path / "latents", "--model", model)
