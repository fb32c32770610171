"""Brightness: the centre of gravity of the spectrum around a frame, as a note."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lmdm_adapter.controls.sketch.config import A4_HZ, A4_MIDI, SketchConfig
from lmdm_adapter.controls.sketch.extractor import (
    SILENCE_DB,
    Extractor,
    amplitudes,
    bins_hz,
    decibels,
    window_reach,
)

LOWEST_HZ = 30.0
"""What lies below is rumble or an offset, and nobody hears it as dark."""
HIGHEST_MIDI = 127.0


def brightness_value(midi: np.ndarray | float) -> np.ndarray:
    """A MIDI note, fractions allowed, to the value of the control: note 0 is 0, note 127 (12.5 kHz) is 1."""
    return np.asarray(midi) / HIGHEST_MIDI


def brightness_midi(value: np.ndarray | float) -> np.ndarray:
    """The other way round."""
    return np.asarray(value) * HIGHEST_MIDI


def midi_of_hz(hz: np.ndarray | float) -> np.ndarray:
    """Frequencies as MIDI notes with fractions."""
    return A4_MIDI + 12.0 * np.log2(np.asarray(hz) / A4_HZ)


def _measure(config: SketchConfig, sound: np.ndarray) -> np.ndarray:
    """Silence has no brightness: NaN."""
    hz = _audible_hz(config)
    heard = amplitudes(sound)[-len(hz) :]
    if decibels(float(heard @ heard)) <= SILENCE_DB:
        return np.full(1, np.nan)
    return brightness_value(midi_of_hz(float(heard @ hz) / float(heard.sum())))[None]


@lru_cache(maxsize=16)
def _audible_hz(config: SketchConfig) -> np.ndarray:
    hz = bins_hz(config)
    return hz[hz >= LOWEST_HZ].astype(np.float32)


BRIGHTNESS = Extractor(window_reach, _measure)
