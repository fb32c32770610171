"""The pitched sounds: what each patch is, and one note of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.music.wavetables import low_pass, moving_tables, note_envelope, play

_SMALLEST_SECONDS = 0.01
_DRAWBARS = ((1, 0.8), (2, 0.6), (3, 0.35), (4, 0.3), (6, 0.12), (8, 0.1))


@dataclass(frozen=True)
class Patch:
    """A sound. `wave` names the source spectrum (saw, square, triangle, sine, organ, string, fm).

    The low-pass corner falls from `corner_hz + sweep_hz` to `corner_hz` with time constant `sweep_seconds`, and moves
    with the pitch by the share `tracking`. `voices` copies are spread over `detune_cents`. `pluck` is where a string is
    struck (share of its length), `damping` how much faster high partials die; for fm, `ratio` and `index` are those of
    the modulator. `drive`, `reverb`, `echo` and `duck` act on the whole stem (see `render`). `gain` balances patches;
    `program` is the General MIDI number from 0.
    """

    wave: str
    program: int
    gain: float = 1.0
    corner_hz: float = 1500.0
    sweep_hz: float = 0.0
    sweep_seconds: float = 0.2
    resonance: float = 0.0
    tracking: float = 0.3
    voices: int = 1
    detune_cents: float = 0.0
    pluck: float = 0.2
    damping: float = 0.02
    ratio: float = 1.0
    index: float = 1.0
    attack_seconds: float = 0.004
    decay_seconds: float = 0.5
    sustain: float = 0.6
    release_seconds: float = 0.08
    drive: float = 0.0
    reverb: float = 0.0
    echo: float = 0.0
    duck: float = 0.0


PATCHES = {
    # bass
    "sub bass": Patch("triangle", 38, 1.1, 220, sustain=0.9, attack_seconds=0.008, duck=0.4),
    "organ bass": Patch("organ", 38, 1.2, 700, 900, 0.08, decay_seconds=0.25, sustain=0.35, duck=0.4),
    "acid bass": Patch("saw", 38, 1.1, 320, 2600, 0.09, 4.0, decay_seconds=0.3, sustain=0.5, drive=2.0, duck=0.3),
    "rumble bass": Patch("saw", 39, 1.3, 190, 160, 0.1, 0.5, sustain=0.7, drive=1.5, duck=0.6),
    "upright bass": Patch("string", 32, 0.62, 900, pluck=0.3, damping=0.03, decay_seconds=0.7, sustain=0.0),
    "picked bass": Patch(
        "string", 34, 0.91, 2200, pluck=0.12, damping=0.012, decay_seconds=1.0, sustain=0.0, drive=1.5
    ),
    "slap bass": Patch(
        "string", 36, 1.4, 2600, 5000, 0.05, 1.0, pluck=0.08, damping=0.02, decay_seconds=0.6, sustain=0.0,
        release_seconds=0.04, drive=1.2,
    ),
    "reese bass": Patch("saw", 39, 1, 420, 200, 0.6, 0.6, voices=3, detune_cents=22, sustain=0.9, drive=1.2),
    "drone bass": Patch(
        "saw", 39, 0.78, 260, voices=2, detune_cents=9, attack_seconds=0.5, sustain=1.0, release_seconds=0.8, reverb=0.2
    ),
    "synth bass": Patch(
        "square", 38, 0.76, 500, 1500, 0.12, 0.8, decay_seconds=0.25, sustain=0.5, release_seconds=0.05
    ),
    # chords
    "warm pad": Patch(
        "saw", 89, 0.55, 900, voices=3, detune_cents=14, attack_seconds=0.15, sustain=1.0, release_seconds=0.5,
        reverb=0.35, duck=0.5,
    ),
    "dark pad": Patch(
        "saw", 95, 0.64, 520, 300, 1.5, 0.5, voices=3, detune_cents=18, attack_seconds=0.2, sustain=1.0,
        release_seconds=0.5, reverb=0.35, duck=0.6,
    ),
    "airy pad": Patch(
        "triangle", 88, 0.29, 2600, voices=3, detune_cents=16, attack_seconds=0.3, sustain=1.0, release_seconds=0.8,
        reverb=0.5, duck=0.2,
    ),
    "strings": Patch(
        "saw", 48, 0.51, 2000, voices=3, detune_cents=20, attack_seconds=0.2, sustain=0.95, release_seconds=0.4,
        reverb=0.4,
    ),
    "chord stab": Patch(
        "saw", 81, 1.4, 700, 2600, 0.09, 0.8, voices=2, detune_cents=12, decay_seconds=0.18, sustain=0.2,
        release_seconds=0.1, reverb=0.3, echo=0.3, duck=0.3,
    ),
    "organ": Patch("organ", 16, 0.73, 3500, sustain=0.95, release_seconds=0.05, drive=0.6, reverb=0.15),
    "drive organ": Patch("organ", 18, 0.8, 4500, sustain=0.95, release_seconds=0.05, drive=2.0, reverb=0.1),
    "piano": Patch(
        "string", 0, 0.46, 3500, pluck=0.13, damping=0.008, decay_seconds=0.9, sustain=0.0, release_seconds=0.15,
        reverb=0.15, duck=0.2,
    ),
    "electric piano": Patch(
        "fm", 4, 0.68, ratio=1.0, index=1.6, sweep_seconds=0.35, decay_seconds=1.1, sustain=0.1, release_seconds=0.2,
        reverb=0.2,
    ),
    "clean guitar": Patch(
        "string", 27, 1, 3200, pluck=0.16, damping=0.01, decay_seconds=0.7, sustain=0.0, release_seconds=0.05,
        drive=0.5, reverb=0.1,
    ),
    "power guitar": Patch(
        "string", 30, 0.59, 1700, pluck=0.2, damping=0.006, decay_seconds=2.0, sustain=0.2, release_seconds=0.05,
        drive=0.8,
    ),
    "clavinet": Patch(
        "string", 7, 1.2, 4500, pluck=0.06, damping=0.008, decay_seconds=0.4, sustain=0.0, release_seconds=0.03,
        drive=1.0,
    ),
    "pluck": Patch(
        "saw", 84, 1.2, 500, 3500, 0.07, 0.6, voices=2, detune_cents=8, decay_seconds=0.22, sustain=0.05,
        release_seconds=0.12, reverb=0.25, echo=0.35, duck=0.2,
    ),
    "arpeggio": Patch(
        "saw", 84, 1.2, 700, 3500, 0.08, 0.6, voices=2, detune_cents=8, decay_seconds=0.22, sustain=0.05,
        release_seconds=0.12, reverb=0.25, echo=0.35, duck=0.2,
    ),
    "harp": Patch(
        "string", 46, 0.38, 2400, pluck=0.35, damping=0.008, decay_seconds=1.3, sustain=0.0, release_seconds=0.8,
        reverb=0.4, echo=0.2,
    ),
    "synth brass": Patch(
        "saw", 62, 1.1, 900, 2600, 0.25, 0.3, voices=2, detune_cents=10, attack_seconds=0.03, sustain=0.7,
        release_seconds=0.12, reverb=0.25,
    ),
    # lead
    "bell": Patch(
        "fm", 14, 0.64, ratio=3.0, index=1.2, sweep_seconds=0.5, decay_seconds=0.7, sustain=0.0, release_seconds=0.6,
        reverb=0.4, echo=0.3,
    ),
    "flute": Patch(
        "flute", 73, 0.52, 3000, attack_seconds=0.06, sustain=0.9, release_seconds=0.12, reverb=0.3, echo=0.15,
    ),
    "saw lead": Patch(
        "saw", 81, 0.64, 1800, 2500, 0.3, 0.4, voices=2, detune_cents=12, attack_seconds=0.01, sustain=0.8,
        release_seconds=0.12, reverb=0.3, echo=0.3,
    ),
    "square lead": Patch(
        "square", 80, 1.1, 2200, 1500, 0.15, 0.4, sustain=0.6, release_seconds=0.08, reverb=0.25, echo=0.35
    ),
    "lead guitar": Patch(
        "string", 29, 0.57, 2400, pluck=0.18, damping=0.003, decay_seconds=1.6, sustain=0.3, release_seconds=0.06,
        drive=1.5, reverb=0.2, echo=0.2,
    ),
}  # fmt: skip


def pitch_hz(pitch: int) -> float:
    """Equal temperament, A4 (69) at 440 Hz."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12.0)


def tail_seconds(patch: Patch) -> float:
    """How long a note sounds after its release."""
    return patch.release_seconds


def pitched_note(
    patch: Patch, pitch: int, *, held_seconds: float, sample_rate: int, brightness: float, decay: float
) -> np.ndarray:
    """One note of a patch at full velocity, (samples,) float32: held for `held_seconds`, then its release."""
    held = max(_SMALLEST_SECONDS, held_seconds)
    samples = max(1, math.ceil((held + tail_seconds(patch)) * sample_rate))
    envelope = note_envelope(
        samples,
        sample_rate,
        held_seconds=held,
        attack_seconds=patch.attack_seconds,
        decay_seconds=patch.decay_seconds * decay,
        sustain=patch.sustain,
        release_seconds=patch.release_seconds,
    )
    source = _fm if patch.wave == "fm" else _partials
    return envelope * source(patch, pitch_hz(pitch), samples, sample_rate, brightness=brightness)


def _partials(patch: Patch, frequency_hz: float, samples: int, sample_rate: int, *, brightness: float) -> np.ndarray:
    """Detuned copies of one moving wave table."""

    def spectrum(numbers: np.ndarray, times: np.ndarray) -> np.ndarray:
        corner = patch.corner_hz + patch.sweep_hz * np.exp(-times / patch.sweep_seconds)
        corner = corner * brightness * (frequency_hz / 262.0) ** patch.tracking
        return _source(patch, numbers, times, frequency_hz) * low_pass(numbers * frequency_hz, corner, patch.resonance)

    tables = moving_tables(spectrum, frequency_hz, samples / sample_rate, sample_rate)
    if patch.sweep_hz == 0.0 and patch.wave != "string":
        tables = tables[:1]
    sound = np.zeros(samples, dtype=np.float32)
    for voice in range(patch.voices):
        spread = 2.0 * voice / (patch.voices - 1) - 1.0 if patch.voices > 1 else 0.0
        detuned_hz = frequency_hz * 2.0 ** (spread * patch.detune_cents / 1200.0)
        sound += play(tables, detuned_hz, samples, sample_rate, phase=0.37 * voice)
    return sound / np.float32(math.sqrt(patch.voices))


def _source(patch: Patch, numbers: np.ndarray, times: np.ndarray, frequency_hz: float) -> np.ndarray:
    """Amplitudes of the partials before the filter, (rows, harmonics)."""
    if patch.wave == "string":
        # Plucking at a share of the length cancels the partials that have a node there; high partials die faster.
        plucked = np.sin(np.pi * numbers * patch.pluck) / numbers
        return 2.0 * plucked * np.exp(-patch.damping * (numbers - 1.0) * times * frequency_hz**0.5 * 2.0)
    odd = numbers % 2
    flat = {
        "saw": 0.6 / numbers,
        "square": odd / numbers,
        "triangle": odd / numbers**2 * (1.0 - 2.0 * ((numbers - 1) // 2 % 2)),
        "organ": sum(level * (numbers == number) for number, level in _DRAWBARS),
        "flute": (numbers == 1) + 0.35 * (numbers == 2) + 0.12 * (numbers == 3) + 0.04 * (numbers == 4),
    }[patch.wave]
    return flat * np.ones_like(times)


def _fm(patch: Patch, frequency_hz: float, samples: int, sample_rate: int, *, brightness: float) -> np.ndarray:
    """Two-operator frequency modulation; the index falls with time, and with pitch so that little folds back."""
    time = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
    cycle = ((frequency_hz / sample_rate * np.arange(samples, dtype=np.float64)) % 1.0).astype(np.float32)
    turn = np.float32(2.0 * np.pi) * cycle
    index = patch.index * brightness * min(1.0, 700.0 / frequency_hz)
    depth = np.float32(index) * (0.25 + 0.75 * np.exp(-time / np.float32(patch.sweep_seconds)))
    modulator = np.sin(np.float32(patch.ratio) * turn)
    return np.sin(turn + depth * modulator).astype(np.float32)
