"""The Space: put together as its README says, it is the demo, from the package that lies beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")
ROOT = Path(__file__).resolve().parent.parent
SPACE = ROOT / "examples" / "space"
ASKED = """
import json, runpy
space = runpy.run_path("app.py", run_name="space")
import lmdm_adapter
print(json.dumps([space["PLAN"].allowed_origins, space["app"].state.visits.seats.seats, lmdm_adapter.__file__]))
"""


def test_the_space_is_the_same_app_from_the_package_beside_it(tmp_path):
    for path in SPACE.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "lmdm_adapter").symlink_to(ROOT / "lmdm_adapter")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LMDM_MODEL")}
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=tmp_path, capture_output=True, text=True,
                          env={**environment, "SPACE_HOST": "me-demo.hf.space"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    origins, seats, package = json.loads(done.stdout.splitlines()[-1])
    assert origins == ["https://me-demo.hf.space"] and seats == 1
    assert Path(package) == tmp_path / "lmdm_adapter" / "__init__.py"


def test_the_header_names_the_gradio_that_was_tested():
    header = (SPACE / "README.md").read_text().split("---")[1]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    version = next(line for line in header.splitlines() if line.startswith("sdk_version")).split()[1]
    assert f"gradio=={version}" in pins and "app_file: app.py" in header


def test_everything_that_the_package_needs_for_its_four_tabs_is_asked_for():
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {*project["dependencies"], *extras["demo"], *extras["sketch"], *extras["text"]}
    asked = [line for line in (SPACE / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert set(asked) == {line for line in needed if not line.startswith("lmdm-adapter")}
