"""Released wheels, fetched, unpacked and run in a process of their own, in the place of any installed host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATCHES = ROOT / "patches"
HOST_19, HOST_20 = "stable-audio-tools==0.0.19", "stable-audio-tools==0.0.20"
LIGHTNING = "stable-audio-tools-0.0.20-B11-lightning"


def fetched(requirement: str, into: Path) -> Path:
    """One wheel; that of 0.0.20 is for Python 3.10 only, which does not matter here."""
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version", "3.10", requirement]
    result = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "-d", str(into), *wanted], capture_output=True, text=True
    )
    if result.returncode != 0:
        pytest.fail(f"pip cannot fetch {requirement}; this test needs the network or PIP_FIND_LINKS.\n{result.stderr}")
    return next(into.glob("*.whl"))


def unpacked(wheels: Sequence[Path], into: Path, *, first: Sequence[str] = ()) -> Path:
    """A copy of these wheels, as `site-packages` would have them, with the patches of `first` applied."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
    for patch in first:
        apply(patch, into)
    return into


def apply(patch: str, copy: Path) -> None:
    """What patches/README.md tells a user to do."""
    if shutil.which("patch") is None:
        pytest.fail("This test applies patches with the program `patch`, which is absent: apt-get install patch.")
    command = ["patch", "-p1", "--batch", "--fuzz=0", "-d", str(copy), "-i", str(PATCHES / f"{patch}.patch")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def run(script: str, copy: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder with the copy first on the path."""
    path = os.pathsep.join(map(str, (copy, HERE, ROOT)))
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)
