"""Law 11: what the README shows runs. Commands run in its order, in one folder, with less music to make."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAIN = "import sys; sys.argv[0] = 'lmdm'; from lmdm_adapter.cli import main; main()"
RUN_AS_WRITTEN = ("stream", "inspect")

# The README shows the bundled model playing: before there is one, there is nothing to hold it to.
HAS_TINY = any((ROOT / "lmdm_adapter").glob("**/tiny/model.safetensors"))
needs_tiny = pytest.mark.skipif(not HAS_TINY, reason="this source tree has no bundled model")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README whose info string is `language`."""
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Arguments of every `lmdm` command of the README's shell blocks."""
    lines = [part.strip() for block in blocks("bash") for line in block.splitlines() for part in line.split("&&")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("lmdm ")]


def shortened(arguments: list[str], seconds: int = 2) -> list[str]:
    """The same command, for less audio."""
    before = ["", *arguments]
    return [str(seconds) if before[place] == "--seconds" else one for place, one in enumerate(arguments)]


def python(arguments: list[str], folder: Path) -> str:
    """Run this Python in `folder` with this source tree; its output, or a failed assertion that shows all of it."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lmdm(arguments: list[str], folder: Path) -> str:
    """Run the command `lmdm` in `folder`."""
    return python(["-c", MAIN, *arguments], folder)


def test_examples_are_played_by_their_commands(tmp_path):
    """The commands that made the bundled examples, for less music; every example has one."""
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    shown = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("lmdm ")]
    made = {arguments[arguments.index("--out") + 1] for arguments in shown}
    assert made == {path.name for path in (ROOT / "examples").glob("*.flac")}
    for arguments in shown:
        lmdm(shortened(arguments, 1), tmp_path)
        assert (tmp_path / arguments[arguments.index("--out") + 1]).stat().st_size > 0


def test_readme_opens_with_the_two_commands():
    install, test = (block.strip() for block in blocks("bash")[:2])
    assert install == (
        'pip install -c constraints.txt . && lmdm stream "124 BPM house in A minor" --seconds 20 --out out.wav'
    )
    assert test == "pip install -c constraints.txt '.[dev]' && pytest"


def test_every_python_block_is_python():
    for block in [*blocks("python"), *blocks("python host")]:
        compile(block, "README.md", "exec")


@needs_tiny
def test_commands_run(tmp_path):
    for arguments in commands():
        if arguments[0] in RUN_AS_WRITTEN:
            lmdm(shortened(arguments), tmp_path)
            for option in ("--out", "--json"):
                if option in arguments:
                    assert (tmp_path / arguments[arguments.index(option) + 1]).stat().st_size > 0
        else:
            assert_options_exist(arguments, tmp_path)


def assert_options_exist(arguments: list[str], folder: Path) -> None:
    """Every option of the command is in its help: for commands that need a large checkpoint, or hours."""
    names = [one for one in arguments if one.startswith("--")]
    words = arguments[: 2 if arguments[0] in ("train", "evaluate") else 1]
    shown = lmdm([*words, "--help"], folder)
    assert all(name in shown for name in names), f"{names} are not all in the help of lmdm {' '.join(words)}"


@needs_tiny
@pytest.mark.slow
def test_first_command_runs_as_written(tmp_path):
    lmdm(commands()[0], tmp_path)
    assert (tmp_path / "out.wav").stat().st_size > 0


@needs_tiny
@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[2][:40])
def test_python_runs(block, tmp_path):
    python(["-c", block], tmp_path)
