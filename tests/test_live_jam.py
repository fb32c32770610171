"""A jam on devices says when it hears less of the other player than models are trained for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import done
from tests.mode_models import listening_live
from tests.sound_library import laptop_that_plays

pytest.importorskip("pythonosc")
pytest.importorskip("mido")


def test_a_jam_whose_lead_is_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop_that_plays(monkeypatch)
    listening_live(steps=1).save(tmp_path / "model")
    jam = ("live", "house", "--model", tmp_path / "model", "--mode", "jam", "--minutes", 0.002, "--lead")
    assert "models are trained for" not in done(*jam, 0.1)
    assert "A visibility of -3." in done(*jam, 3)
