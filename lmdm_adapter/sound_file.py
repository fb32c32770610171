"""Sound files as audio: whatever soundfile reads, all else through ffmpeg where it is installed; rates and channels."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

# Some headers only estimate the length; a file that misses more than this share of it was cut off.
LONGEST_MISSING_SHARE = 0.02
# A header that asks for more is broken, and would fill the memory.
LARGEST_RATIO = 256.0


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


def fitted(audio: Audio, *, sample_rate: int, channels: int) -> Audio:
    """`audio` at another rate (band-limited) and with other channels: the mean of all of them, or copies of one.

    Raises LmdmError for a rate too far away, and where it has more channels than are asked for and those are more than
    one: who is who, a file does not say.
    """
    if not 1 / LARGEST_RATIO <= sample_rate / audio.sample_rate <= LARGEST_RATIO:
        raise LmdmError(f"Sound at {audio.sample_rate} Hz cannot be resampled to {sample_rate} Hz; export it again.")
    samples = audio.samples
    if channels == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif audio.channels == 1:
        samples = np.repeat(samples, channels, axis=0)
    elif audio.channels != channels:
        raise LmdmError(f"The sound has {audio.channels} channels and {channels} are needed; mix it down first.")
    if audio.sample_rate != sample_rate:
        samples = soxr.resample(samples.T, audio.sample_rate, sample_rate).T
    return Audio(samples, sample_rate)


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
