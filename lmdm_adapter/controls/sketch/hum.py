"""A hum as a melody: one voice's pitch, steadier than filters hear it, for a recording that has ended.

While someone still hums, `push` with `top_k=1` tells the note.
"""

from __future__ import annotations

import math

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch.brightness import midi_of_hz
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.drawing import drawn
from lmdm_adapter.controls.sketch.extractor import SILENCE_DB, mono, needed
from lmdm_adapter.controls.sketch.values import Sketch
from lmdm_adapter.errors import LmdmError

LOWEST_HZ, HIGHEST_HZ = 65.0, 1100.0
"""Voices, whistling left out."""
WINDOW_SECONDS = 0.093
SILENT_DB = SILENCE_DB / 2.0
"""Far louder than silence: yin finds a pitch in any hiss."""


def hummed(config: SketchConfig, audio: Audio, *, careful: bool = False) -> Sketch:
    """The sketch of a hum: melody alone, a rest where nobody hums.

    `careful` takes librosa's pyin, about a hundred times slower than yin, which also tells hum from breath. Notes that
    the config's melody does not have are rests. Raises LmdmError for a config without melody, another rate, NaN, or
    less than one window of sound.
    """
    sound = mono(config, audio)
    window = 2 ** round(math.log2(WINDOW_SECONDS * config.sample_rate))
    if len(sound) < window:
        raise LmdmError(f"A hum needs at least {window} samples, got {len(sound)}.")
    notes = midi_of_hz(_pitches_hz(config, sound, window, careful=careful))
    frames = -(-len(sound) // config.frame_samples)
    within = (config.lowest_midi <= notes) & (notes <= config.highest_midi)
    sung = [(n, float(notes[n]) if within[n] else ()) for n in range(frames)]
    return drawn(config, frames, melody_midi=sung, unit="frames")


def _pitches_hz(config: SketchConfig, sound: np.ndarray, window: int, *, careful: bool) -> np.ndarray:
    """The pitch around the middle of each frame, NaN where there is none."""
    librosa = needed("librosa")
    # librosa's windows are centred on the first samples of frames.
    centred = np.pad(sound, (0, window))[config.frame_samples // 2 :]
    place = {"fmin": LOWEST_HZ, "fmax": HIGHEST_HZ, "sr": config.sample_rate, "frame_length": window,
             "hop_length": config.frame_samples}  # fmt: skip
    if careful:
        return librosa.pyin(centred, **place)[0]
    pitches = librosa.yin(centred, **place)
    level = librosa.feature.rms(y=centred, frame_length=window, hop_length=config.frame_samples)[0]
    return np.where(level > 10.0 ** (SILENT_DB / 20.0), pitches, np.nan)
