"""What visitors send: looked at before anything plays it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from lmdm_adapter.errors import LmdmError

LONGEST_SECONDS = 600.0
READ_SAMPLES = 1 << 18
MOST_VALUES = 1 << 27
"""Samples of all channels: ten minutes of stereo at 96 kHz, and 512 MiB. Silence packs into next to nothing."""


def require_sound(path: str | Path | None, *, longest_seconds: float = LONGEST_SECONDS) -> Path:
    """The path of a sound file that may be played.

    Raises LmdmError for no file, one that is no sound, is empty or too long, or holds NaN; its length and size are read
    from the header first, so a long one costs nothing. Reading the rest may take seconds: not in an event loop.
    """
    if not path:
        raise LmdmError("Choose a sound file first.")
    name = Path(path).name
    try:
        with soundfile.SoundFile(str(path)) as file:
            seconds = file.frames / file.samplerate
            if not 0.0 < seconds <= longest_seconds:
                raise LmdmError(
                    f"{name} is {seconds / 60:.1f} minutes long; at most {longest_seconds / 60:g} can play."
                )
            if file.frames * file.channels > MOST_VALUES:
                raise LmdmError(
                    f"{name} has {file.channels} channels at {file.samplerate} Hz, which is too much for its "
                    f"{seconds / 60:.1f} minutes; make it stereo at 48000 Hz."
                )
            while len(samples := file.read(READ_SAMPLES, dtype="float32", always_2d=True)):
                if not np.isfinite(samples).all():
                    raise LmdmError(f"{name} holds NaN or infinity; export it again from a clean source.")
    except soundfile.SoundFileError:
        raise LmdmError(f"{name} cannot be read as sound; give a WAV, FLAC, OGG or MP3 file.") from None
    return Path(path)
