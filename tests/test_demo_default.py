"""What a newcomer gets who types `lmdm demo` and nothing more: four tabs that play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("librosa")
from typer.main import get_command

import lmdm_adapter as lmdm
from lmdm_adapter.cli import app
from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.voice import Voice, Wish
from lmdm_adapter.errors import LmdmError

DEMO = get_command(app).commands["demo"]
MODEL = next(option.default for option in DEMO.params if option.name == "model")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "demo.md"
DRAWING = {"loudness": [0.5] * 64, "brightness": [], "melody": [], "seconds": 2.0}
MOST_CHUNKS = 200


def heard(voice: Voice) -> float:
    """The loudest sample of the first chunks that sound."""
    try:
        for _ in range(MOST_CHUNKS):
            samples = voice.next_chunk().samples
            if samples.any():
                return float(np.abs(samples).max())
        return 0.0
    finally:
        voice.close()


@pytest.fixture(scope="module")
def band() -> Band:
    return Band(lmdm.load(MODEL), name=MODEL)


def wish(mode: str, values: dict[str, Any]) -> Wish:
    sound = {} if mode == "play" or "sketch" in values else {"sound": str(backing_track(STYLES[0]))}
    return Wish(mode, {"prompt": "house", "steps": 1, "guidance": 1.0, **values, **sound})


@pytest.mark.parametrize(
    ("mode", "values"),
    [("play", {}), ("sketch", {"sketch": DRAWING}), ("sketch", {}), ("jam", {"visibility_seconds": 0}),
     ("delay", {"beats": 4, "bpm": 100})],
)  # fmt: skip
def test_every_tab_plays(band: Band, mode: str, values: dict[str, Any]) -> None:
    assert heard(band.voice(wish(mode, values))) > 0.001


def test_a_model_without_controls_would_not_have_done() -> None:
    """Negative control: the tabs ask for more than any model has."""
    with pytest.raises(LmdmError, match="which tiny lacks"):
        Band(lmdm.load("tiny"), name="tiny").voice(wish("jam", {}))


def test_page_and_help_say_which_model_plays() -> None:
    opening = PAGE.read_text(encoding="utf-8").split("| option |")[0]
    assert f"plays `{MODEL}`" in opening and Facts().name == MODEL
    assert f"'{MODEL}'" in next(option.help for option in DEMO.params if option.name == "model")
