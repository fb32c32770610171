"""The report of `lmdm live` when the session ended by an error: just then one wants to read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmdm_adapter.cli import live_session
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.recorder import Recorder
from tests.cli import done, save_live, sentence
from tests.sound_library import FakeSound, laptop_that_plays

FULL = "No space left on device"
PLAYS = ("--lead", 0.1, "--steps", 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    return save_live(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    """A laptop's devices, which ask for sound by themselves."""
    return laptop_that_plays(monkeypatch)


def full(*arguments: Any) -> None:
    """A disk that takes no more."""
    raise LmdmError(f"Cannot write: {FULL}.")


def test_music_that_ended_well_has_no_failure(model: Path, library: FakeSound, tmp_path: Path) -> None:
    done("live", "--model", model, *PLAYS, "--minutes", 0.01, "--json", tmp_path / "report.json")
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["failure"] is None


def test_a_device_that_is_lost_for_good_has_a_report(model: Path, library: FakeSound, tmp_path: Path) -> None:
    library.unplugged_after_chunks = 40
    said = sentence("live", "--model", model, *PLAYS, "--reopen-seconds", 0, "--json", tmp_path / "report.json")
    values = json.loads((tmp_path / "report.json").read_text())
    assert "is gone after" in said and values["failure"] == said
    assert values["played_seconds"] > 0


def test_a_recording_that_fails_has_a_report(
    model: Path, library: FakeSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "write", full)
    said = sentence("live", "--model", model, *PLAYS, "--record", tmp_path / "take", "--minutes", 0.01, "--json",
                    tmp_path / "report.json")  # fmt: skip
    values = json.loads((tmp_path / "report.json").read_text())
    assert FULL in said and values["failure"] == said


def test_a_report_that_cannot_be_written_hides_nothing(
    model: Path, library: FakeSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.unplugged_after_chunks = 40
    monkeypatch.setattr(live_session, "write_json", full)
    said = sentence("live", "--model", model, *PLAYS, "--reopen-seconds", 0, "--json", tmp_path / "report.json")
    assert "is gone after" in said and FULL in said
