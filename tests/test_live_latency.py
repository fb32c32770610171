"""A device at another rate than the session's: what resampling holds is waited for, and moves nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.cli import live_session
from lmdm_adapter.io.outlet import OtherRate, most_held_seconds
from lmdm_adapter.resampling import resampling_seconds
from lmdm_adapter.session.modes import StreamMode
from tests.cli import done, save_live
from tests.models import SAMPLE_RATE
from tests.sound_library import laptop_that_plays

pytest.importorskip("pythonosc")
pytest.importorskip("mido")

DEVICE_RATE = 44_100


def test_a_mode_that_listens_is_told_what_both_resamplers_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = laptop_that_plays(monkeypatch)
    asked: list[tuple[int, int]] = []

    def mode(name: str, *parts: Any, device_samples: int, resampling_samples: int, **rest: Any) -> StreamMode:
        asked.append((device_samples, resampling_samples))
        return StreamMode()

    monkeypatch.setattr(live_session, "mode_named", mode)
    monkeypatch.setattr(live_session, "require_needs", lambda *section, **model: None)  # a model that has no need of it
    save_live(tmp_path / "live")
    out, back = most_held_seconds(SAMPLE_RATE, DEVICE_RATE), resampling_seconds(DEVICE_RATE, SAMPLE_RATE)
    for rates, held, way_out in (((SAMPLE_RATE, DEVICE_RATE), 0.0, 0.0), ((DEVICE_RATE,), out + back, out)):
        library.rates = rates
        done("live", "--model", tmp_path / "live", "--mode", "jam", "--lead", 0.1, "--minutes", 0.002, "--steps", 1,
             "--json", tmp_path / "report.json")  # fmt: skip
        assert asked.pop() == (round(0.03 * SAMPLE_RATE), math.ceil(held * SAMPLE_RATE))
        parts = json.loads((tmp_path / "report.json").read_text())["budget"]["parts_seconds"]
        assert parts["device"] == pytest.approx(0.03 + way_out), "of a knob the way out alone"


@pytest.mark.parametrize("rates", [(22_050, 48_000), (44_100, 48_000), (48_000, 44_100)])
@pytest.mark.parametrize("chunk", [64, 1000])
def test_an_outlet_holds_no_sample_longer_than_it_is_said_to(rates: tuple[int, int], chunk: int) -> None:
    outlet = OtherRate(lambda room: None, channels=1, device_channels=1, sample_rate=rates[0], device_rate=rates[1])
    room, longest = np.zeros((chunk, 1), np.float32), 0.0
    for _ in range(rates[1] // chunk):
        outlet.fill(room)
        longest = max(longest, outlet.held_seconds)
    assert 0.7 * most_held_seconds(*rates) < longest <= most_held_seconds(*rates)
    assert most_held_seconds(48_000, 48_000) == 0.0
