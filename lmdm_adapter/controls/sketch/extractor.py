"""One feature's way from sound to values, and the spectrum that several of them look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import extra

SILENCE_DB = -70.0
"""Relative to full scale: what is softer counts as silence."""


@dataclass(frozen=True)
class Extractor:
    """`reach` gives how many samples before and after its own a frame needs; `measure` gets exactly those, `s`.

    `measure` returns the values of the frame, (channels,), and NaN where there is nothing to tell. It is a function of
    that sound alone: nothing is carried from frame to frame, so no error can stay.
    """

    reach: Callable[[SketchConfig], tuple[int, int]]
    measure: Callable[[SketchConfig, np.ndarray], np.ndarray]


def needed(module: str) -> ModuleType:
    """A module of the extra `[sketch]`. Raises LmdmError with the cure when it is missing."""
    return extra(module, "A sketch of sound", extra_name="sketch")


def mono(config: SketchConfig, audio: Audio) -> np.ndarray:
    """The mean of the channels, `s`.

    Raises LmdmError for another rate than the config's, no channel, NaN or infinity.
    """
    if audio.sample_rate != config.sample_rate:
        raise LmdmError(f"This sketch is of sound at {config.sample_rate} Hz, got {audio.sample_rate} Hz; resample it.")
    if audio.channels == 0:
        raise LmdmError("A sketch needs sound with at least one channel, got none.")
    if not np.isfinite(audio.samples).all():
        raise LmdmError("A sketch needs finite sound, but it holds NaN or infinity; replace such samples by zero.")
    # Channel by channel, because numpy's own sum over many channels depends on how many samples there are.
    return sum(audio.samples[1:], start=audio.samples[0]) / np.float32(audio.channels)


def window_reach(config: SketchConfig) -> tuple[int, int]:
    """The reach of the config's window around the middle of a frame."""
    beyond = config.window_samples - config.frame_samples
    return beyond // 2, beyond - beyond // 2


def amplitudes(sound: np.ndarray) -> np.ndarray:
    """The spectrum of the Hann-windowed sound, `s -> s/2+1`, scaled so that its squares add up to the mean square."""
    return np.abs(needed("scipy.fft").rfft(sound * _window(len(sound))))


def bins_hz(config: SketchConfig) -> np.ndarray:
    """Frequencies of `amplitudes`."""
    return np.fft.rfftfreq(config.window_samples, 1.0 / config.sample_rate)


def decibels(power: float) -> float:
    """Power in dB, silence at its floor."""
    return 10.0 * float(np.log10(max(power, 10.0 ** (SILENCE_DB / 10.0))))


@lru_cache(maxsize=16)
def _window(samples: int) -> np.ndarray:
    shape = needed("scipy.signal").get_window("hann", samples)
    return (shape * np.sqrt(2.0 / (samples * np.square(shape).sum()))).astype(np.float32)
