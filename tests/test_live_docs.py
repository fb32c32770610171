"""`docs/live.md` says what the tables of the code say, and the example plays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmdm_adapter.io.board import Board
from lmdm_adapter.io.midi_map import KNOB_RANGES, NO_KNOB
from lmdm_adapter.io.osc import OscServer
from lmdm_adapter.io.osc_routes import Routes, address_of, description, taken_arguments
from lmdm_adapter.session.parameters import PARAMETERS
from tests.session_makers import noise_engine
from tests.test_live_osc import Listener

pytest.importorskip("pythonosc")


def osc_rows() -> list[str]:
    """The table of addresses, row by row."""
    return [f"| `{address_of(one)}` | {taken_arguments(one)} | {one.help} |" for one in PARAMETERS]


def test_the_table_of_addresses_is_that_of_the_parameters(root: Path) -> None:
    page = (root / "docs" / "live.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| `/lmdm/") and "NAME" not in line]
    assert shown[: len(PARAMETERS)] == osc_rows()


def test_every_other_address_and_range_is_on_the_page(root: Path) -> None:
    page = (root / "docs" / "live.md").read_text(encoding="utf-8")
    replies = Routes(Board(Listener()), learn=str).answer("/lmdm/help", ())
    others = {reply.arguments[0] for reply in replies} - {address_of(one) for one in PARAMETERS}
    assert others and all(f"`{address}`" in page for address in others)
    assert all(f"{name} {low:g} to {high:g}" in page for name, (low, high) in KNOB_RANGES.items() if low != high)
    assert all(f"`{name}`" in page for name in NO_KNOB)
    assert all(len(description(one).arguments) == 4 for one in PARAMETERS)


def test_every_option_on_the_page_exists(root: Path) -> None:
    pages = [root / "docs" / "live.md", root / "docs" / "results" / "live.md"]
    asked = {option for page in pages for line in re.findall(r"^lmdm live.*$", page.read_text("utf-8"), re.MULTILINE)
             for option in re.findall(r"--[\w-]+", line)}  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-m", "lmdm_adapter", "live", "--help"], cwd=root, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout  # fmt: skip
    assert asked and all(option in shown for option in asked)


def test_the_osc_example_plays_a_session(root: Path) -> None:
    engine = noise_engine()
    with OscServer(Routes(Board(engine)), port=0) as server:
        done = subprocess.run(
            [sys.executable, str(root / "examples" / "play_by_osc.py"), "--port", str(server.port), "--bar-seconds",
             "0.05"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert server.refused == 2 and done.stdout.count("set tempo_bpm first") == 2, "its engine makes no blocks"
    assert all(address_of(one) in done.stdout for one in PARAMETERS)
    names = []
    for layer in ("model", "mix"):
        while (turn := engine.events.due(layer, 10**9)) is not None:  # type: ignore[arg-type]
            names.append(turn.name)
    assert {"tempo_bpm", "prompt", "guidance", "rewind_blocks", "gain_db", "feedback", "delay_seconds"} == set(names)


def test_the_osc_example_says_when_nobody_answers(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "examples" / "play_by_osc.py"), "--port", "9"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Nobody answers at 127.0.0.1:9" in done.stderr


def test_the_patch_sends_to_addresses_that_exist(root: Path) -> None:
    lines = (root / "examples" / "lmdm.pd").read_text(encoding="utf-8").splitlines()
    objects = [line for line in lines if line.startswith("#X ") and not line.startswith("#X connect")]
    sent = {line.rstrip(";").split(" lmdm ")[1] for line in objects if "oscformat" in line}
    assert sent <= {*(one.name for one in PARAMETERS), "tap", "help"} and len(sent) >= 5
    for line in lines:
        if line.startswith("#X connect"):
            source, _, target, _ = map(int, line.removeprefix("#X connect ").rstrip(";").split())
            assert max(source, target) < len(objects)
