"""`lmdm train` tells a run that was stopped from one that is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmdm_adapter.recipes import codec
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.loop import Trained
from tests.cli import lmdm, sentence
from tests.trained_together import fit


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with the settings that a codec's run needs."""
    path = tmp_path / "codec.json"
    path.write_text(json.dumps({"output": str(tmp_path / "codec"), "songs": str(tmp_path / "songs")}))
    return path


@pytest.mark.parametrize(("finished", "code", "told"), [(True, 0, ""), (False, 130, "stopped: the same command goes")])
def test_a_stopped_run_ends_as_an_interrupted_program_does(
    config: Path, monkeypatch: pytest.MonkeyPatch, finished: bool, code: int, told: str
) -> None:
    def run(config: codec.CodecRecipe) -> Trained:
        return Trained(3, finished, {})

    monkeypatch.setattr(codec, "run", run)
    result = lmdm("train", "codec", "--config", config)
    assert result.exit_code == code and result.stderr.startswith(told) and bool(result.stderr) == bool(told)


@pytest.mark.parametrize(("finished", "is_main"), [(True, True), (False, True), (False, False)])
def test_a_recipe_run_as_a_module_says_that_it_was_stopped(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, finished: bool, is_main: bool
) -> None:
    """Its status is 0 either way, as launchers want it; of several processes one says so."""
    monkeypatch.setattr("sys.argv", ["codec", "--config", str(config)])
    with caplog.at_level("INFO"):
        recipe_command(codec.CodecRecipe, lambda _config: Trained(3, finished, {}, is_main=is_main))
    assert ("Stopped at step 3: the same command goes on" in caplog.text) == (is_main and not finished)


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_checkpoint_ends_in_one_sentence(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    def run(config: codec.CodecRecipe) -> Trained:
        return fit("line", Path(config.output))[0]

    monkeypatch.setattr(codec, "run", run)
    (tmp_path / "codec").mkdir()
    (tmp_path / "codec" / "checkpoint.pt").write_bytes(content)
    assert "checkpoint.pt is damaged" in sentence("train", "codec", "--config", config)
