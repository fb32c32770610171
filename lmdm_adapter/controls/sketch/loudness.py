"""Loudness: the A-weighted level (IEC 61672) around a frame, from silence to full scale."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.extractor import (
    SILENCE_DB,
    Extractor,
    amplitudes,
    bins_hz,
    decibels,
    needed,
    window_reach,
)


def loudness_value(level_db: np.ndarray | float) -> np.ndarray:
    """A-weighted RMS in dB of full scale to the value of the control: silence (-70 dB) is 0, 0 dB is 1."""
    return np.maximum(1.0 - np.asarray(level_db) / SILENCE_DB, 0.0)


def loudness_db(value: np.ndarray | float) -> np.ndarray:
    """The other way round."""
    return (1.0 - np.asarray(value)) * SILENCE_DB


def _measure(config: SketchConfig, sound: np.ndarray) -> np.ndarray:
    power = float(_weights(config) @ np.square(amplitudes(sound)))
    return loudness_value(decibels(power))[None]


@lru_cache(maxsize=16)
def _weights(config: SketchConfig) -> np.ndarray:
    """How much the power of each bin counts; a constant offset does not count at all."""
    hz = bins_hz(config)
    weights_db = needed("librosa").A_weighting(np.maximum(hz, 1.0), min_db=None)
    return np.where(hz > 0.0, 10.0 ** (weights_db / 10.0), 0.0).astype(np.float32)


LOUDNESS = Extractor(window_reach, _measure)
