"""Backing tracks to play along with, made here: songs of `music/`, a style each."""

from __future__ import annotations

import functools
import tempfile
import threading
from pathlib import Path

import soundfile

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import compose, mix, render

STYLES = ("house", "funk", "boom-bap", "synthwave")
SAMPLE_RATE = 44100
SEED, SECONDS = 7, 30.0
_RENDERING = threading.Lock()
LEFT_OUT = "lead"


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Kept until the program ends, and removed then."""
    return tempfile.TemporaryDirectory(prefix="lmdm-backing-")


def backing_track(style: str) -> Path:
    """A FLAC file of 30 s without its lead, which is the visitor's; from any thread. It takes a second or two once.

    Raises LmdmError for a style that is not there.
    """
    if style not in STYLES:
        raise LmdmError(f"There is no backing track {style!r}; there are {', '.join(STYLES)}.")
    # Two that ask at once must not write the same file, nor read it half written.
    with _RENDERING:
        return _rendered(style)


@functools.lru_cache(maxsize=len(STYLES))
def _rendered(style: str) -> Path:
    stems = render(compose(SEED, style=style, seconds=SECONDS), SAMPLE_RATE)
    audio = mix({name: stem for name, stem in stems.items() if name != LEFT_OUT})
    path = Path(_folder().name) / f"{style}.flac"
    soundfile.write(path, audio.samples.T, SAMPLE_RATE)
    return path
