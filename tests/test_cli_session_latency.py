"""What `lmdm jam`, `sketch` and `delay` say of their latency, and do not say of a machine that is too slow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmdm_adapter.cli.session_report import ANSWER, KNOB, SessionReport, against_deadlines
from lmdm_adapter.session.budget import Budget
from lmdm_adapter.session.engine import Engine
from tests.cli import done, write_noise
from tests.mode_models import RATE, listening_live

DELAY_SECONDS = 0.6
COMMANDS = {
    "jam": (ANSWER, r"answering after ([\d.]+) s, real-time factor"),
    "sketch": (KNOB, r"frame by frame on the sketch of .*, knobs would act after ([\d.]+) s, real-time factor"),
    "delay": (ANSWER, r"answers after ([\d.]+) s, real-time factor"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that listens, and half a second of noise."""
    place = tmp_path_factory.mktemp("latencies")
    listening_live().save(place / "live")
    write_noise(place / "in.wav", samples=RATE // 2, sample_rate=RATE)
    return place


def session(
    folder: Path, tmp_path: Path, command: str, computes: list[float], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """What a session says and reports on a machine whose blocks take `computes` seconds, the last again and again."""
    times = iter(computes)
    monkeypatch.setattr(Engine, "_compute_seconds", lambda engine, began: next(times, computes[-1]))
    more = ("--seconds", DELAY_SECONDS) if command == "delay" else ()
    said = done(command, folder / "in.wav", "-m", folder / "live", "--out", tmp_path / "out.wav", "--json",
                tmp_path / "out.json", "--lead-seconds", 0.1, "--steps", 1, *more)  # fmt: skip
    return said, json.loads((tmp_path / "out.json").read_text())


def test_of_a_jam_that_knows_ahead_only_knobs_are_late(folder: Path, tmp_path: Path) -> None:
    said = done("jam", folder / "in.wav", "-m", folder / "live", "--out", tmp_path / "out.wav", "--json",
                tmp_path / "out.json", "--lead-seconds", 0.1, "--steps", 1, "--visibility-seconds", 0.1)  # fmt: skip
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["latency_of"] == KNOB and report["budget"]["parts_seconds"]["decoder hold-back"] > 0.0
    assert "knobs would act after" in said or "too late" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_latency_is_told_with_what_it_spans(
    folder: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first block that takes long, as models do, is waited for by nobody."""
    said, report = session(folder, tmp_path, command, [3.0, 0.01], monkeypatch)
    spans, promise = COMMANDS[command]
    found = re.search(promise, said)
    assert found and float(found[1]) == pytest.approx(report["latency_seconds"], abs=0.006)
    assert report["latency_of"] == spans and report["underruns"] == 0 and "too late" not in said
    assert report["budget"]["total_seconds"] <= report["latency_seconds"] + 1 / RATE
    total = f"total {report['budget']['total_seconds']:.3f}"
    assert f"Latency of {command}" in said and total in " ".join(said.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_machine_that_is_too_slow_is_told_so_and_no_latency_is_promised(
    folder: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, report = session(folder, tmp_path, command, [1.0], monkeypatch)
    assert 0 < report["underruns"] < len(report["blocks"])
    assert (
        f"{report['underruns']} of {len(report['blocks'])} blocks would have come too late on this machine: use fewer "
        "--steps or a longer --lead-seconds."
    ) in said.splitlines()
    assert "after" not in said and "Latency of" not in said and "real-time factor" in said


@pytest.mark.parametrize(("late", "underruns"), [(0.09, 0), (0.11, 1)])
def test_one_block_that_is_late_is_told(late: float, underruns: int) -> None:
    """A block of 0.1 s is wanted when 0.1 s are left."""
    blocks = against_deadlines([(0.1, 0.01), (0.1, 0.01), (0.1, late), (0.1, 0.01)], lead_seconds=0.1)
    budget = Budget("jam", (("lead", 0.1),))
    report = SessionReport({}, RATE, RATE, 0.0, 0.1, ANSWER, budget, blocks, holds=0)
    assert report.underruns == report.to_json()["underruns"] == underruns
    first, second, *_ = report.told("out.wav", "after 0.1 s").splitlines()
    promised = ("out.wav, after 0.1 s, real-time factor 0.30", "Latency of jam:")
    assert ((first, second) == promised) is (underruns == 0)
    assert ("after" not in first and second.startswith("1 of 4 blocks")) is (underruns == 1)
