"""Rendering with FluidSynth and a General MIDI soundfont, when they are installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music.midi import to_midi
from lmdm_adapter.music.render import CEILINGS, limited
from lmdm_adapter.music.song import STEM_NAMES, Song

DEFAULT_SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
_CURE = "sudo apt-get install fluidsynth fluid-soundfont-gm"
_GAIN = "0.35"
_TIMEOUT_SECONDS = 600


def render_fluidsynth(song: Song, sample_rate: int, *, soundfont: str | Path | None = None) -> dict[str, Audio]:
    """The stems of the whole song played by the `fluidsynth` program, each mono `Audio` (1 s), ready for `mix`.

    `soundfont` is a General MIDI .sf2 file, by default that of Debian's `fluid-soundfont-gm`. Reverb and chorus are
    off, gains and ceilings are fixed. Raises LmdmError when the program, the
    soundfont or pretty_midi is missing, when the rate is not 8000 to 96000 Hz, or when FluidSynth fails.
    """
    if not 8000 <= sample_rate <= 96000:
        raise LmdmError(f"FluidSynth renders at 8000 to 96000 Hz, got {sample_rate}.")
    program, font = _program(), _soundfont(soundfont)
    samples = round(song.seconds * sample_rate)
    stems = {}
    for name in STEM_NAMES:
        sound = np.zeros(samples, dtype=np.float32)
        if song.stems[name].notes:
            played = _played(song, name, sample_rate, program, font)[:samples]
            sound[: len(played)] = played
        stems[name] = Audio(limited(sound, CEILINGS[name])[None, :], sample_rate)
    return stems


def _program() -> str:
    program = shutil.which("fluidsynth")
    if program is None:
        raise LmdmError(f"The program fluidsynth is not installed: {_CURE}.")
    return program


def _soundfont(path: str | Path | None) -> Path:
    font = DEFAULT_SOUNDFONT if path is None else Path(path)
    if not font.is_file():
        raise LmdmError(f"There is no soundfont at {font}: {_CURE}, or name a General MIDI .sf2 file.")
    return font


def _played(song: Song, name: str, sample_rate: int, program: str, font: Path) -> np.ndarray:
    """One stem as FluidSynth plays it, (samples,) float32, mean of its two channels."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder) / "stem.mid", Path(folder) / "stem.wav"
        to_midi(song, [name]).write(str(midi))
        command = [program, "-n", "-i", "-q", "-R", "0", "-C", "0", "-g", _GAIN, "-r", str(sample_rate)]
        command += ["-T", "wav", "-O", "float", "-F", str(wave), str(font), str(midi)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired as late:
            raise LmdmError(f"FluidSynth took over {_TIMEOUT_SECONDS} s for stem {name!r}: render less.") from late
        if done.returncode != 0 or not wave.is_file():
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LmdmError(f"FluidSynth could not play stem {name!r} with {font}: {reason}")
        return soundfile.read(wave, dtype="float32", always_2d=True)[0].mean(axis=1)
