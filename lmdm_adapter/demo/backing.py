"""Backing tracks to play along with, made here: songs of `music/`, a style each."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import soundfile

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import compose, mix, render

STYLES = ("house", "jazz", "boom-bap", "synthwave")
SAMPLE_RATE = 44100
SEED, SECONDS = 7, 30.0
LEFT_OUT = "lead"


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Kept until the program ends, and removed then."""
    return tempfile.TemporaryDirectory(prefix="lmdm-backing-")


@functools.lru_cache(maxsize=len(STYLES))
def backing_track(style: str) -> Path:
    """A FLAC file of 30 s without its lead, which is the visitor's. Raises LmdmError for a style that is not there."""
    if style not in STYLES:
        raise LmdmError(f"There is no backing track {style!r}; there are {', '.join(STYLES)}.")
    stems = render(compose(SEED, style=style, seconds=SECONDS), SAMPLE_RATE)
    audio = mix({name: stem for name, stem in stems.items() if name != LEFT_OUT})
    path = Path(_folder().name) / f"{style}.flac"
    soundfile.write(path, audio.samples.T, SAMPLE_RATE)
    return path
