"""A hum that the page recorded, as the curve of a melody."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import SketchConfig, hummed
from lmdm_adapter.demo.recorded_sound import recorded_sound
from lmdm_adapter.demo.wording import POINTS
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted
from lmdm_adapter.session.curves import MELODY_MIDI

CONFIG = SketchConfig(frame_samples=1024, sample_rate=22_050)
MOST_SECONDS = 32.0


def curve_of_hum(told: Any) -> list[float]:
    """`POINTS` values from 0 to 1, evenly over the hum, from `[rate, 16-bit samples in base64]`.

    A breath keeps the note before it. Raises LmdmError for what is no recording, and for one without a note.
    """
    notes = hummed(CONFIG, _recording(told), careful=True).of("melody")
    there = np.nan_to_num(notes).max(axis=0) > 0.0
    if not there.any():
        raise LmdmError("No note was heard; hum nearer to the microphone, or louder.")
    midi = CONFIG.lowest_midi + np.nan_to_num(notes).argmax(axis=0).astype(float)
    heard, edges = np.where(there, midi, np.nan), np.arange(POINTS + 1) * len(midi) // POINTS
    pieces = [heard[first : max(last, first + 1)] for first, last in itertools.pairwise(edges)]
    middles = np.array([np.nanmedian(piece) if np.isfinite(piece).any() else np.nan for piece in pieces])
    low, high = MELODY_MIDI
    return np.clip((_held(middles) - low) / (high - low), 0.0, 1.0).round(4).tolist()


def _recording(told: Any) -> Audio:
    rate, text = told if isinstance(told, (list, tuple)) and len(told) == 2 else (None, None)
    audio = recorded_sound(rate, text, name="hum", most_seconds=MOST_SECONDS)
    return fitted(audio, sample_rate=CONFIG.sample_rate, channels=1)


def _held(notes: np.ndarray) -> np.ndarray:
    """Each gap filled with the note before it, and the first with the note after it."""
    there = np.flatnonzero(np.isfinite(notes))
    return notes[there[np.maximum(np.searchsorted(there, np.arange(len(notes)), side="right") - 1, 0)]]
