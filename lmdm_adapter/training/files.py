"""Files of a training run appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile

from lmdm_adapter.audio import Audio


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and move it into place when the body succeeds.

    The name carries the process id, so that two runs that fill one folder never write into one file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_sound(path: Path, audio: Audio) -> None:
    """Write a sound as 16-bit WAV, cut to [-1, 1]."""
    with replacing(path) as part:
        soundfile.write(part, audio.samples.T.clip(-1.0, 1.0), audio.sample_rate, subtype="PCM_16")
