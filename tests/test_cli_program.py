"""The program as a whole: quick help, a version, and no traceback where the user can mend things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmdm_adapter import recipes
from lmdm_adapter.cli import app, errors
from lmdm_adapter.cli.train import recipe_texts
from lmdm_adapter.errors import LmdmError
from tests.cli import lmdm, save_offline, sentence

COMMANDS = ["stream", "convert", "inspect", "train"]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_no_torch(root: Path, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from lmdm_adapter.cli import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'soundfile', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_help_names_every_command() -> None:
    text = lmdm("--help").stdout
    assert all(name in text for name in COMMANDS)


def test_no_arguments_show_the_help() -> None:
    assert "Usage" in lmdm().output


def test_version() -> None:
    result = lmdm("--version")
    assert result.exit_code == 0 and result.stdout.startswith("lmdm-adapter ")


def test_every_recipe_is_a_command_with_a_description() -> None:
    texts = recipe_texts()
    modules = {path.stem for path in Path(recipes.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(texts) <= modules and texts
    help_text = lmdm("train", "--help").stdout
    for name, text in texts.items():
        assert text, f"{name} has no docstring"
        assert name.replace("_", "-") in help_text


@pytest.mark.parametrize("name", recipe_texts())
def test_a_recipe_lists_its_settings_and_refuses_bad_files(name: str, tmp_path: Path) -> None:
    command = name.replace("_", "-")
    listed = lmdm("train", command, "--fields")
    assert listed.exit_code == 0 and ("(must be given)" in listed.stdout) == (name != "tiny")
    assert name == "tiny" or lmdm("train", command).exit_code == 2
    assert "missing.json" in sentence("train", command, "--config", tmp_path / "missing.json")
    (tmp_path / "run.json").write_text("{")
    assert "JSON" in sentence("train", command, "--config", tmp_path / "run.json")
    (tmp_path / "run.json").write_text('{"wings": 2}')
    assert "wings" in sentence("train", command, "--config", tmp_path / "run.json")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LmdmError("Two\nlines."), "Two lines."),
        (PermissionError(13, "Permission denied", "song.wav"), "song.wav: Permission denied."),
        (OSError("odd"), "odd"),
    ],
)
def test_errors_become_one_line(error: Exception, text: str) -> None:
    assert errors.sentence_of(error) == text


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (LmdmError("No."), 1), (ZeroDivisionError(), 1)]
)
def test_only_the_users_errors_are_caught(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("lmdm_adapter.cli.inspection.look_at", fail)
    result = lmdm("inspect", "tiny")
    assert result.exit_code == code
    assert isinstance(result.exception, ZeroDivisionError) == isinstance(error, ZeroDivisionError)


def test_the_app_is_the_console_script(root: Path) -> None:
    assert 'lmdm = "lmdm_adapter.cli:main"' in (root / "pyproject.toml").read_text()
    assert app.info.name == "lmdm"


def test_threads_wait_without_spinning(monkeypatch):
    """Spinning threads stop a stream when another program wants a core; a user's own policy is kept."""
    program = sys.modules["lmdm_adapter.cli.app"]
    monkeypatch.setattr(program, "app", lambda: None)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if given:
            monkeypatch.setenv("OMP_WAIT_POLICY", given)
        program.main()
        assert os.environ["OMP_WAIT_POLICY"] == expected


def test_frame_controls_may_be_named_beside_the_config(tmp_path: Path) -> None:
    """`--controls` takes the place of what the config says, spaces or not, and a wrong name is refused."""
    base = save_offline(tmp_path / "base")
    settings = {"output": str(tmp_path / "run"), "base": str(base), "data": {"kind": "latents", "folder": "none"},
                "controls": ["accompaniment"]}  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(settings))
    asked = sentence("train", "finetune", "--config", tmp_path / "run.json", "--controls", "accompaniment, tuba")
    assert "no frame control 'tuba' here; there is accompaniment_mask" in asked
    assert "holds no finished latents" in sentence("train", "finetune", "--config", tmp_path / "run.json")
    assert lmdm("train", "base", "--controls", "tuba").exit_code == 2, "a base has no frame controls"
