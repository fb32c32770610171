"""Sound files as audio: whatever soundfile reads, all else through ffmpeg where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

# Some headers only estimate the length; a file that misses more than this share of it was cut off.
LONGEST_MISSING_SHARE = 0.02


def read_audio(path: str | os.PathLike[str]) -> Audio:
    """Read a whole sound file as float32.

    Raises LmdmError when it is missing, a folder, not a sound file, cut off, empty, or holds NaN or infinity.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise LmdmError(f"There is no sound file {path}; check the name.")
    if place.is_dir():
        raise LmdmError(f"{path} is a folder; give a sound file.")
    if not place.is_file():
        raise LmdmError(f"{path} is no regular file; give a sound file.")
    try:
        audio = _read(place, path)
    except soundfile.SoundFileError as error:
        audio = _through_ffmpeg(place, path, reason=sound_reason(error))
    return _checked(audio, path)


def sound_reason(error: BaseException) -> str:
    """What soundfile has to say, without its full stop."""
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return str(text).rstrip(".").strip()


def _read(place: Path, path: object) -> Audio:
    # soundfile takes names that are no UTF-8 as bytes only, which Windows does not have.
    with soundfile.SoundFile(str(place) if os.name == "nt" else os.fsencode(place)) as file:
        promised, sample_rate = file.frames, int(file.samplerate)
        samples = file.read(dtype="float32", always_2d=True)
    if len(samples) < promised * (1.0 - LONGEST_MISSING_SHARE):
        raise LmdmError(
            f"{path} is cut off: it holds {len(samples) / sample_rate:.2f} of {promised / sample_rate:.2f} s; "
            "copy it again."
        )
    return Audio(samples.T, sample_rate)


def _through_ffmpeg(place: Path, path: object, *, reason: str) -> Audio:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise LmdmError(
            f"{path} cannot be read as sound ({reason}); give a WAV, FLAC, OGG or MP3 file, or install ffmpeg."
        )
    with tempfile.TemporaryDirectory() as folder:
        decoded = Path(folder) / "decoded.wav"
        # A playlist that calls itself a sound file must not fetch anything.
        source = ("-protocol_whitelist", "file", "-i", f"file:{place}", "-map", "0:a:0")
        command = (ffmpeg, "-nostdin", "-v", "error", *source, "-c:a", "pcm_f32le", "-rf64", "auto", str(decoded))
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if run.returncode != 0 or not decoded.exists():
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            raise LmdmError(
                f"{path} cannot be read as sound ({reason}; ffmpeg: {lines[-1].rstrip('.')}); give a WAV or FLAC file."
            )
        return _read(decoded, path)


def _checked(audio: Audio, path: object) -> Audio:
    if audio.samples.shape[1] == 0:
        raise LmdmError(f"{path} holds no samples; give a sound file with sound in it.")
    if not np.isfinite(audio.samples).all():
        raise LmdmError(f"{path} holds NaN or infinity; export it again from a clean source.")
    return audio
