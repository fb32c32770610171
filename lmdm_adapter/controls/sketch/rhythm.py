"""Rhythm: how strongly something begins within a frame.

Short spectra (about 23 ms) are compared with those just before them, several times a frame, on a mel scale. What counts
is by how many dB the bands rise on average, as in librosa's `onset_strength`; the largest rise of a frame is its value.
All windows end within their frame, so this feature never looks ahead.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.extractor import SILENCE_DB, Extractor, needed

WINDOW_SECONDS = 0.023
LAG = 2
"""A spectrum is compared with the second one before it, which shares no sound with it."""
BANDS, LOWEST_HZ = 32, 60.0
FULL_RISE_DB = 24.0
"""A rise of all bands by this much is the value 1; a loud drum out of silence rises higher and stays at 1."""


def window_samples(config: SketchConfig) -> int:
    """Length of the spectra: the power of two nearest to 23 ms."""
    return 2 ** round(math.log2(WINDOW_SECONDS * config.sample_rate))


def _reach(config: SketchConfig) -> tuple[int, int]:
    return window_samples(config) - int(_ends(config)[0]), 0


def _measure(config: SketchConfig, sound: np.ndarray) -> np.ndarray:
    levels = _levels_db(config, sound)
    rises = np.maximum(levels[LAG:] - levels[:-LAG], 0.0).mean(axis=-1)
    return np.minimum(rises.max() / FULL_RISE_DB, 1.0)[None]


def _levels_db(config: SketchConfig, sound: np.ndarray) -> np.ndarray:
    """Mel levels of the windows that end in the frame, and of LAG before them, `windows bands`."""
    size, ends = window_samples(config), _ends(config)
    pieces = np.stack([sound[first : first + size] for first in (ends - ends[0]).tolist()])
    spectra = needed("scipy.fft").rfft(pieces * _shape(size))
    power = np.square(np.abs(spectra)) @ _mel(config)
    return 10.0 * np.log10(power + 10.0 ** (SILENCE_DB / 10.0))


@lru_cache(maxsize=16)
def _ends(config: SketchConfig) -> np.ndarray:
    """Where the windows of a frame end, from its first sample; about half a window apart, the last where it ends."""
    count = max(1, round(2 * config.frame_samples / window_samples(config)))
    return config.frame_samples * np.arange(1 - LAG, count + 1) // count


@lru_cache(maxsize=16)
def _shape(samples: int) -> np.ndarray:
    """A Hann window under which a full-scale sine has the power 1."""
    shape = needed("scipy.signal").get_window("hann", samples)
    return (shape * (2.0 / shape.sum())).astype(np.float32)


@lru_cache(maxsize=16)
def _mel(config: SketchConfig) -> np.ndarray:
    """How much the power of each bin counts in each band, `bins bands`."""
    filters = needed("librosa.filters").mel(
        sr=config.sample_rate, n_fft=window_samples(config), n_mels=BANDS, fmin=LOWEST_HZ, norm=None
    )
    return np.ascontiguousarray(filters.T, dtype=np.float32)


RHYTHM = Extractor(_reach, _measure)
