"""Sketches refuse what they cannot take, in a sentence with the cure."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, hummed, push, sketched, start
from lmdm_adapter.errors import LmdmError
from tests.sketches import CONFIG, audio, noise


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_is_refused_and_leaves_the_state_alone(bad: float) -> None:
    sound = noise(3)
    sound[0, 100] = bad
    _, state = push(CONFIG, start(CONFIG), audio(noise(5)))
    before = state.recent.copy()
    for refuse in (lambda: push(CONFIG, state, audio(sound)), lambda: hummed(CONFIG, audio(sound))):
        with pytest.raises(LmdmError, match="NaN"):
            refuse()
    assert np.array_equal(state.recent, before)


def test_another_rate_and_no_channels_are_refused() -> None:
    with pytest.raises(LmdmError, match="22050 Hz, got 44100 Hz; resample"):
        push(CONFIG, start(CONFIG), Audio(noise(1), 44_100))
    with pytest.raises(LmdmError, match="at least one channel"):
        sketched(CONFIG, Audio(np.zeros((0, 5)), CONFIG.sample_rate))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame_samples": 8}, "frame_samples must lie between 64"),
        ({"sample_rate": 0}, "sample_rate must lie between"),
        ({"window_seconds": float("nan")}, "window_seconds must lie between"),
        ({"lowest_midi": 0}, "lowest_midi must lie between 12"),
        ({"top_k": 0}, "top_k must lie between 1 and the 88 bins"),
        ({"top_k": 89}, "top_k must lie between 1 and the 88 bins"),
        ({"sample_rate": 8_000}, "does not fit below half of 8000 Hz; lower bins"),
        ({"features": ()}, "at least one feature"),
        ({"features": ("timbre",)}, "got 'timbre'"),
        ({"features": ("rhythm", "rhythm")}, "each once"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(LmdmError, match=words):
        SketchConfig(**changes)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "got none"),
        ({"timbre": np.zeros((2, 3))}, "got timbre"),
        ({"loudness": np.zeros((1, 3))}, "shape"),
        ({"loudness": np.zeros(3)}, "shape"),
        ({"loudness": np.full((2, 3), np.nan)}, "NaN"),
        ({"loudness": np.zeros((2, 3)), "rhythm": np.zeros((2, 4))}, "same number of frames"),
    ],
)
def test_values_that_are_no_sketch_are_refused(values: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(LmdmError, match=words):
        Sketch(values)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.fft", None)
    with pytest.raises(LmdmError, match=r"needs the package scipy .*pip install 'lmdm-adapter\[sketch\]'"):
        sketched(CONFIG, audio(noise(2)))
