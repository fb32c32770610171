"""Every patch of `patches/`: the released wheel breaks, `patch -p1` applies to a copy of it, and the copy works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from lmdm_adapter.cli.source_signs import signs_in
from tests.cli import save_live

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATCHES = ROOT / "patches"
HOST_19, HOST_20 = "stable-audio-tools==0.0.19", "stable-audio-tools==0.0.20"
K_DIFFUSION, CLIP = "k-diffusion==0.1.1", "clip-anytorch==2.6.0"
WHEELS = (HOST_19, HOST_20, K_DIFFUSION, CLIP)


@dataclass(frozen=True)
class Case:
    """A patch, the wheels that it is about, the function of breaks.py that shows the break, and how it ends there.

    `first` are patches to apply before, where another break would hide this one.
    """

    patch: str
    wheels: tuple[str, ...]
    shown_by: str
    error: str
    first: tuple[str, ...] = ()


LIGHTNING = "stable-audio-tools-0.0.20-B11-lightning"
FACTORY_ERROR = "KeyError: 'prompt'"
CASES = (
    Case("k-diffusion-0.1.1-B1-clip", (HOST_19, K_DIFFUSION, CLIP),
         "sample_without_pkg_resources,build_without_pkg_resources", "pkg_resources"),
    Case("stable-audio-tools-0.0.19-B1-pkg-resources", (HOST_19, K_DIFFUSION, CLIP), "build_without_pkg_resources",
         "pkg_resources"),
    Case("stable-audio-tools-0.0.19-B4-inverse-lr", (HOST_19,), "inverse_lr", "TypeError: LRScheduler.__init__()"),
    Case("stable-audio-tools-0.0.19-B5-unknown-sampler", (HOST_19,), "unknown_sampler",
         "'NoneType' object has no attribute 'to'"),
    Case("stable-audio-tools-0.0.19-B6-short-chunks", (HOST_19,), "short_chunks", "UnboundLocalError"),
    Case(LIGHTNING, (HOST_20,), "build_without_lightning", "pytorch_lightning"),
    Case("stable-audio-tools-0.0.19-lmdm-factory", (HOST_19,), "live_checkpoint", FACTORY_ERROR),
    Case("stable-audio-tools-0.0.20-lmdm-factory", (HOST_20,), "live_checkpoint", FACTORY_ERROR, first=(LIGHTNING,)),
)  # fmt: skip
FACTORY_PATCHES = [case for case in CASES if case.shown_by == "live_checkpoint"]
FIXED_IN_20 = ("sample_without_pkg_resources", "build_without_pkg_resources", "short_chunks", "unknown_sampler",
               "inverse_lr")  # fmt: skip


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The released wheels, fetched by pip (`PIP_FIND_LINKS` may name a folder that has them)."""
    return {wheel: fetched(wheel, tmp_path_factory.mktemp("wheel")) for wheel in WHEELS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A live model that declares a conditioner of its own."""
    return save_live(tmp_path / "live")


def fetched(requirement: str, into: Path) -> Path:
    """One wheel; that of 0.0.20 is for Python 3.10 only, which does not matter here."""
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version", "3.10", requirement]
    result = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "-d", str(into), *wanted], capture_output=True, text=True
    )
    if result.returncode != 0:
        pytest.fail(f"pip cannot fetch {requirement}; this test needs the network or PIP_FIND_LINKS.\n{result.stderr}")
    return next(into.glob("*.whl"))


def unpacked(wheels: dict[str, Path], wanted: tuple[str, ...], into: Path, *, first: tuple[str, ...] = ()) -> Path:
    """A copy of these wheels, as `site-packages` would have them, with the patches of `first` applied."""
    for name in wanted:
        with zipfile.ZipFile(wheels[name]) as archive:
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


def run(name: str, copy: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a function of breaks.py, or several joined by commas, with the copy in the place of any installed host."""
    path = os.pathsep.join(map(str, (copy, HERE, ROOT)))
    command = [sys.executable, str(HERE / "breaks.py"), name, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def signs_of(copy: Path) -> frozenset[str]:
    """What `lmdm doctor` would read in these sources."""
    return signs_in(lambda file: (copy / file).read_text() if (copy / file).is_file() else None)


def assert_works(result: subprocess.CompletedProcess[str], copy: Path) -> None:
    """It ended well, and it was the copy that ran."""
    assert result.returncode == 0, result.stderr
    assert Path(json.loads(result.stdout.splitlines()[-1])["host"]).is_relative_to(copy)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.patch)
def test_a_patch_mends_its_break(case: Case, wheels: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    arguments = (folder,) if case in FACTORY_PATCHES else ()
    copy = unpacked(wheels, case.wheels, tmp_path / "site-packages", first=case.first)
    before = run(case.shown_by, copy, *arguments)
    assert before.returncode != 0, "the released wheel does not break: is the patch still needed?"
    assert case.error in before.stderr.splitlines()[-1], before.stderr
    apply(case.patch, copy)
    assert_works(run(case.shown_by, copy, *arguments), copy)


@pytest.mark.parametrize("case", FACTORY_PATCHES, ids=lambda case: case.patch)
def test_the_factory_without_this_package_is_the_old_one(
    case: Case, wheels: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    copy = unpacked(wheels, case.wheels, tmp_path / "site-packages", first=case.first)
    assert_works(run("live_checkpoint_without_us", copy, folder), copy)
    apply(case.patch, copy)
    assert_works(run("live_checkpoint_without_us", copy, folder), copy)


def test_release_0_0_20_has_fixed_the_others(wheels: dict[str, Path], tmp_path: Path) -> None:
    copy = unpacked(wheels, (HOST_20,), tmp_path / "site-packages", first=(LIGHTNING,))
    assert_works(run(",".join(FIXED_IN_20), copy), copy)


def test_the_patches_for_0_0_19_go_together(wheels: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    copy = unpacked(wheels, (HOST_19, K_DIFFUSION, CLIP), tmp_path / "site-packages")
    for patch in sorted(PATCHES.glob("*.patch")):
        if "0.0.20" not in patch.name:
            apply(patch.stem, copy)
    assert_works(run("sample_without_pkg_resources,short_chunks,unknown_sampler,inverse_lr", copy), copy)
    assert_works(run("live_checkpoint", copy, folder), copy)


@pytest.mark.parametrize(
    ("wheel", "signs"),
    [
        (HOST_19, {"B1", "B4", "B5", "B6", "B7", "B13", "B15", "side effects"}),
        (HOST_20, {"B11", "B13", "B15", "side effects"}),
    ],
)
def test_the_doctor_knows_what_a_release_has(
    wheel: str, signs: set[str], wheels: dict[str, Path], tmp_path: Path
) -> None:
    assert signs_of(unpacked(wheels, (wheel, K_DIFFUSION, CLIP), tmp_path)) == signs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.patch)
def test_the_doctor_sees_that_a_break_is_mended(case: Case, wheels: dict[str, Path], tmp_path: Path) -> None:
    copy = unpacked(wheels, case.wheels, tmp_path, first=case.first)
    before = signs_of(copy)
    apply(case.patch, copy)
    # With the samplers of k-diffusion left as they are, a host that imports them late is mended in part only.
    mended = set() if case.patch.endswith("B1-pkg-resources") else set(re.findall(r"-(B\d+)-", case.patch))
    assert before - signs_of(copy) == mended


def test_every_patch_is_tried() -> None:
    assert {case.patch for case in CASES} == {path.stem for path in PATCHES.glob("*.patch")}
