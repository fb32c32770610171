"""Prompts as people type them: empty, endless, strange, mixed by any weights; through every way in."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.session.take import Event
from lmdm_adapter.sound_file import read_audio
from tests.cli import done, save_live
from tests.host_requests import ask
from tests.models import tiny_live

SILENT = ("", "   ", "\n\t", "...!?", "🎹🎶", "zither", "\x00", "\udcff", "[/bold] {0} %s", "-1")
"""Prompts without a word that the tiny model knows."""
LONG = "house techno " * 2000


def played(prompt: str | Controls, *, guidance: float = 3.0) -> np.ndarray:
    sampling = lmdm.Sampling(2, "pingpong", guidance)
    pieces = tiny_live().stream(prompt, 0.1, seed=1, sampling=sampling)
    return np.concatenate([piece.samples for piece in pieces], axis=1)


@pytest.mark.parametrize("prompt", SILENT, ids=ascii)
def test_a_prompt_without_known_words_is_the_empty_one(prompt: str) -> None:
    assert np.array_equal(played(prompt), played("")) and np.isfinite(played(prompt)).all()
    assert not np.array_equal(played(f"{prompt} house"), played(""))


def test_a_prompt_of_thousands_of_words_is_cut_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    """The tiny model hears 6 words."""
    with caplog.at_level(logging.WARNING):
        long = played(LONG)
    assert "4000 known words; only the first 6 count" in caplog.text
    assert np.array_equal(long, played("house techno " * 3)) and not np.array_equal(long, played("house techno " * 2))


@pytest.mark.parametrize(
    "prompt", ["", LONG, "[/bold] house", "caf\udcff house"], ids=["empty", "long", "markup", "bytes"]
)
def test_the_command_line_plays_them(tmp_path: Path, prompt: str) -> None:
    out, report = tmp_path / "out.wav", tmp_path / "report.json"
    done("stream", "--model", save_live(tmp_path / "model"), "--seconds", 0.1, "--steps", 1, "--out", out,
         "--json", report, "--", prompt)  # fmt: skip
    assert read_audio(out).samples.std() > 0 and json.loads(report.read_text())["prompt"] == prompt


def test_the_drop_in_plays_them() -> None:
    empty, zither, long, short = (ask(tiny_live(), conditioning=[{"prompt": prompt}])
                                  for prompt in ("", "zither", LONG, "house techno " * 3))  # fmt: skip
    assert torch.equal(empty, zither) and torch.equal(long, short) and not torch.equal(empty, long)


@pytest.mark.parametrize(
    "weights", [(), (0.0, 0.0), (-1.0, 2.0), (-0.5, -0.5), (float("nan"), 1.0), (float("inf"), 1.0)]
)
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, ...]) -> None:
    """As values, and in a take that was written by hand; before anything is played."""
    prompts = tuple(("house", weight) for weight in weights)
    with pytest.raises(lmdm.LmdmError, match="weights must be finite, not negative, and not all zero"):
        Controls(prompts=prompts)
    with pytest.raises(lmdm.LmdmError, match="weights"):
        Event.from_json({"frame": 0, "controls": {"prompts": [list(pair) for pair in prompts]}})


@pytest.mark.parametrize("unit", [1e-320, 1e-30, 1e30, 1.7e308])
def test_only_the_ratio_of_weights_counts(unit: float) -> None:
    """Beyond what 32 bits hold, too."""
    mixed, same, other = (played(Controls((("house", weight), ("techno", weight * ratio))))
                          for weight, ratio in ((unit, 0.5), (2.0, 0.5), (2.0, 1.0)))  # fmt: skip
    np.testing.assert_allclose(mixed, same, atol=1e-5 * np.abs(same).max())
    assert np.abs(mixed - other).max() > 1e-3 * np.abs(same).max()


def test_a_prompt_of_no_weight_is_not_heard() -> None:
    both, one = (condition(tiny_live().network, Controls(prompts), window_seconds=1.0, device=torch.device("cpu"))
                 for prompts in ((("house", 2.0), ("techno", 0.0)), (("house", 1.0),)))  # fmt: skip
    torch.testing.assert_close(both.cross, one.cross)


@pytest.mark.parametrize("prompt", [None, 3, b"house", ["house"]])
def test_what_is_no_text_is_refused(prompt: object) -> None:
    with pytest.raises(lmdm.LmdmError, match="must be text"):
        played(Controls(((prompt, 1.0),)))  # type: ignore[arg-type]
