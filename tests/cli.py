"""Running commands in tests, and the tiny models they run on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from typer.testing import CliRunner, Result

from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.cli import app
from tests.models import SAMPLE_RATE, tiny_live, tiny_offline


def lmdm(*arguments: object) -> Result:
    """Run `lmdm` with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    """Run a command that must succeed; its standard output."""
    result = lmdm(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def sentence(*arguments: object) -> str:
    """Run a command that must fail for the user's sake: exit code 1, one sentence, no traceback; the sentence."""
    result = lmdm(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert lines[0][-1] in ".?", "a sentence ends like one"
    return lines[0].removeprefix("error: ")


def names(folder: Path) -> list[str]:
    """Everything in the folder, hidden files too."""
    return sorted(os.listdir(folder))


def save_live(folder: Path, seed: int = 0, **settings: Any) -> Path:
    """Write a tiny live model with random weights."""
    tiny_live(seed, **settings).save(folder)
    return folder


def save_offline(folder: Path, seed: int = 0) -> Path:
    """Write a tiny offline checkpoint with random weights."""
    network, config = tiny_offline(seed)
    write_checkpoint(folder, network, config)
    return folder


def edit_config(folder: Path, change: Any) -> Path:
    """Apply `change` to the parsed `model_config.json` of a folder."""
    path = folder / "model_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return folder


def write_noise(path: Path, *, samples: int = 500, channels: int = 1, sample_rate: int = SAMPLE_RATE) -> Path:
    """A float sound file with quiet noise."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (samples, channels)).astype(np.float32)
    soundfile.write(str(path), noise, sample_rate, subtype="FLOAT")
    return path
