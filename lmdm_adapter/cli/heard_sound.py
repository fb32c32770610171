"""The sound file that a session hears: read, told about, and fitted to the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted, fitting_line
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.sound_file import read_audio

SILENT, LARGE_MEAN = 1e-6, 0.05
FULL_SCALE = 0.999
CLIPPED_RUN = 3
"""Samples at full scale in a row: one alone is a peak."""


def heard_sound(path: Path, facts: Facts, *, notice: Callable[[str], None]) -> Audio:
    """The sound at the model's rate and channels; `notice` gets a line for each thing that is odd about it.

    Raises LmdmError for what is no sound file, holds NaN, or is shorter than a frame of the model.
    """
    audio = read_audio(path)
    frame_seconds = facts.frame_samples / facts.sample_rate
    if audio.seconds < frame_seconds:
        raise LmdmError(
            f"{path} is too short to be heard: {audio.samples.shape[1]} samples are {1000.0 * audio.seconds:.2f} ms, "
            f"and the model hears in frames of {1000.0 * frame_seconds:.1f} ms."
        )
    for line in oddities(audio):
        notice(f"{path} {line}")
    wanted = {"sample_rate": facts.sample_rate, "channels": facts.channels}
    if (audio.sample_rate, audio.channels) != (facts.sample_rate, facts.channels):
        notice(fitting_line(audio, **wanted))
    return fitted(audio, **wanted)


def oddities(audio: Audio) -> list[str]:
    """What a player should know about a sound before it is heard as it is: silence, an offset, clipping."""
    peak = np.abs(audio.samples).max()
    if peak < SILENT:
        return ["is silent; the model hears silence."]
    lines = []
    if (offset := np.abs(audio.samples.mean(axis=1)).max()) > LARGE_MEAN:
        lines.append(f"has a DC offset of {offset:.2f}; a high-pass filter would remove it.")
    if clipped := clipped_samples(audio.samples):
        lines.append(f"is clipped: {clipped} samples lie at full scale; it is heard as it is.")
    return lines


def clipped_samples(samples: np.ndarray) -> int:
    """How many samples (`ch s`) lie at full scale, in runs that are no mere peaks."""
    full = np.abs(samples) >= max(FULL_SCALE, FULL_SCALE * float(np.abs(samples).max()))
    runs = np.lib.stride_tricks.sliding_window_view(full, min(CLIPPED_RUN, full.shape[1]), axis=1).all(axis=-1)
    return int(full.sum()) if runs.any() else 0
