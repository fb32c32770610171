"""Folders of tiny sound files, good and bad, and the codec that encodes them, for tests about data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from lmdm_adapter.codec import Codec
from tests.models import SAMPLE_RATE, tiny_live

FRAME_SAMPLES = 8


def tiny_codec(seed: int = 0) -> Codec:
    """The codec of the tiny live model: 1000 Hz, mono, 8 samples per frame, 4 latent channels."""
    return tiny_live(seed).codec


def write_sound(path: Path, frames: int = 40, *, seed: int = 0, sample_rate: int = SAMPLE_RATE, channels: int = 1,
                subtype: str = "FLOAT") -> Path:  # fmt: skip
    """Noise of `frames` latent frames once it is at the codec's rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = frames * FRAME_SAMPLES * sample_rate // SAMPLE_RATE
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)
    soundfile.write(str(path), noise, sample_rate, subtype=subtype)
    return path


def write_library(folder: Path, count: int = 5) -> Path:
    """`count` good sound files of different lengths, rates and channels, in nested folders."""
    for number in range(count):
        rate, channels = (SAMPLE_RATE, 4000)[number % 2], 1 + number % 2
        path = folder / ("first", "second")[number // 3] / f"0{number}_warm-house.wav"
        write_sound(path, 40 + number, seed=number, sample_rate=rate, channels=channels)
    return folder


def write_bad_files(folder: Path) -> dict[str, str]:
    """Files that nobody can use, and a word of the reason that each must get."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.wav").write_text("no sound")
    (folder / "nothing.flac").write_bytes(b"")
    soundfile.write(str(folder / "empty.wav"), np.zeros((0, 1), np.float32), SAMPLE_RATE)
    soundfile.write(str(folder / "nan.wav"), np.full((500, 1), np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(str(folder / "silent.wav"), np.zeros((500, 1), np.float32), SAMPLE_RATE)
    soundfile.write(str(folder / "short.wav"), np.full((FRAME_SAMPLES - 1, 1), 0.5, np.float32), SAMPLE_RATE)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    write_sound(folder / "described.wav")
    (folder / "described.json").write_text('{"title": "no prompt"}')
    return {
        "text.wav": "cannot be read as sound", "nothing.flac": "cannot be read as sound", "empty.wav": "no samples",
        "nan.wav": "NaN", "silent.wav": "silent", "short.wav": "too short", "gone.wav": "No such file",
        "described.wav": "prompt",
    }  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, byte by byte."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
