"""Rendering: a song becomes one mono stem per part, and their sum.

What sounds at a time depends on nothing but the song, so a part of a song renders as the same part of the whole: notes
are fixed one-shots at fixed samples, saturation and limiting have no memory, ducking is a function of the kicks, and
the reverb has a finite impulse response.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music.drumkit import KITS, drum_hit, drum_tail_seconds
from lmdm_adapter.music.parts import DRUM_PITCHES
from lmdm_adapter.music.patches import PATCHES, pitched_note, tail_seconds
from lmdm_adapter.music.reverb import REVERB_SECONDS, reverberated
from lmdm_adapter.music.song import STEM_NAMES, Note, Song, Stem

CEILINGS = {"drums": 0.40, "bass": 0.24, "chords": 0.20, "lead": 0.15}
"""Largest absolute sample of each stem. They add up to 0.99, so that a mix can never clip."""

_LEVELS = {"drums": 0.34, "bass": 0.24, "chords": 0.15, "lead": 0.17}
_DUCK_SECONDS = 0.28
_ECHO_BEATS = 0.75
_ECHOES = 2


@dataclass(frozen=True)
class _Effects:
    gain: float = 1.0
    drive: float = 0.0
    reverb: float = 0.0
    echo: float = 0.0
    duck: float = 0.0


@dataclass(frozen=True)
class _Range:
    """Samples [first, last) of the song."""

    first: int
    last: int
    sample_rate: int

    @property
    def samples(self) -> int:
        return self.last - self.first


def render(
    song: Song, sample_rate: int, *, start_seconds: float = 0.0, seconds: float | None = None
) -> dict[str, Audio]:
    """The stems of the song, each mono `Audio` (1 s) in [-1, 1], at mix level: `mix` is their plain sum.

    Renders `seconds` from `start_seconds` (default: to the end); the result is that slice of the whole song's render,
    and has exactly `round(seconds * sample_rate)` samples. A stem without notes is silence. Raises LmdmError when the
    range is empty or leaves the song, or when the rate is below 8000 Hz.
    """
    wanted = _wanted(song, sample_rate, start_seconds, seconds)
    wide = _Range(max(0, wanted.first - math.ceil(REVERB_SECONDS * sample_rate)), wanted.last, sample_rate)
    stems = {}
    for name in STEM_NAMES:
        sound = _stem(song, name, wide)[wide.samples - wanted.samples :]
        stems[name] = Audio(limited(sound, CEILINGS[name])[None, :], sample_rate)
    return stems


def mix(stems: Mapping[str, Audio]) -> Audio:
    """The sum of some or all stems of one song, (1 s). Fixed gains: nothing depends on the loudness of the clip.

    Stems of `render` sum to less than 1. Raises LmdmError when there are none or when rates or shapes differ.
    """
    if not stems:
        raise LmdmError("There are no stems to mix: give at least one.")
    first = next(iter(stems.values()))
    total = np.zeros_like(first.samples)
    for name, stem in stems.items():
        if (stem.samples.shape, stem.sample_rate) != (first.samples.shape, first.sample_rate):
            raise LmdmError(f"Stems must agree in rate and shape to be mixed, but {name!r} is {stem} and not {first}.")
        total += stem.samples
    return Audio(total, first.sample_rate)


def _wanted(song: Song, sample_rate: int, start_seconds: float, seconds: float | None) -> _Range:
    if sample_rate < 8000:
        raise LmdmError(f"Songs render at 8000 Hz or more, got {sample_rate}.")
    whole = round(song.seconds * sample_rate)
    first = round(start_seconds * sample_rate)
    last = whole if seconds is None else first + round(seconds * sample_rate)
    if not 0 <= first < last <= whole:
        end = "the end" if seconds is None else f"{start_seconds + seconds:g} s"
        raise LmdmError(
            f"Cannot render from {start_seconds:g} s to {end}: the song has {song.seconds:g} s; "
            "choose a range inside it or compose a longer song."
        )
    return _Range(first, last, sample_rate)


def _stem(song: Song, name: str, part: _Range) -> np.ndarray:
    """One stem before its limiter, (samples,)."""
    stem = song.stems[name]
    if not stem.notes:
        return np.zeros(part.samples, dtype=np.float32)
    if name == "drums":
        kit = KITS[stem.patch]
        effects, tail = _Effects(drive=kit.drive, reverb=kit.room), drum_tail_seconds()
    else:
        patch = PATCHES[stem.patch]
        effects = _Effects(patch.gain, patch.drive, patch.reverb, patch.echo, patch.duck)
        tail = tail_seconds(patch)
    sound = _placed(_echoed(stem.notes, effects.echo, song.tempo_bpm), _one_shots(stem, name, part), part, tail)
    sound = _driven(sound, effects.drive)
    if effects.duck > 0.0:
        sound = sound * _ducking(song.stems["drums"].notes, effects.duck, part)
    sound = reverberated(sound, part.sample_rate, wet=effects.reverb, brightness=stem.brightness)
    return np.float32(_LEVELS[name] * effects.gain) * sound


def _one_shots(stem: Stem, name: str, part: _Range) -> Callable[[Note], np.ndarray]:
    """A function from a note to its sound, which makes every different sound once."""
    made: dict[tuple[int, int], np.ndarray] = {}
    tone = {"sample_rate": part.sample_rate, "brightness": stem.brightness, "decay": stem.decay}

    def one_shot(note: Note) -> np.ndarray:
        held = 0 if name == "drums" else round(note.duration_seconds * part.sample_rate)
        if (note.pitch, held) not in made:
            made[note.pitch, held] = (
                drum_hit(KITS[stem.patch], note.pitch, **tone)
                if name == "drums"
                else pitched_note(PATCHES[stem.patch], note.pitch, held_seconds=held / part.sample_rate, **tone)
            )
        return made[note.pitch, held]

    return one_shot


def _echoed(notes: tuple[Note, ...], echo: float, tempo_bpm: int) -> list[tuple[Note, float, float]]:
    """(note, onset in seconds, gain) of all notes, then of their echoes."""
    events = []
    for repeat in range(1 + (_ECHOES if echo > 0.0 else 0)):
        late, gain = repeat * _ECHO_BEATS * 60.0 / tempo_bpm, echo**repeat
        events += [(note, note.start_seconds + late, gain * (note.velocity / 127.0) ** 1.5) for note in notes]
    return events


def _placed(
    events: list[tuple[Note, float, float]], one_shot: Callable[[Note], np.ndarray], part: _Range, tail: float
) -> np.ndarray:
    """The sum of the one-shots of all events that sound in the part."""
    sound = np.zeros(part.samples, dtype=np.float32)
    reach = (tail + 0.05) * part.sample_rate
    for note, onset_seconds, gain in events:
        onset = round(onset_seconds * part.sample_rate) - part.first
        if onset >= part.samples or onset + note.duration_seconds * part.sample_rate + reach <= 0:
            continue
        shot = one_shot(note)
        begin, end = max(0, onset), min(part.samples, onset + len(shot))
        if begin < end:
            sound[begin:end] += np.float32(gain) * shot[begin - onset : end - onset]
    return sound


def _driven(sound: np.ndarray, drive: float) -> np.ndarray:
    """Saturation without memory; small sounds keep their level, less the more it drives."""
    if drive == 0.0:
        return sound
    return np.tanh(np.float32(1.0 + drive) * sound) / np.float32(1.0 + 0.5 * drive)


def _ducking(drums: tuple[Note, ...], depth: float, part: _Range) -> np.ndarray:
    """The gain that makes room for the kick: down by `depth` at each one, back within 0.28 s."""
    samples = math.ceil(_DUCK_SECONDS * part.sample_rate)
    rise = np.linspace(0.0, 1.0, samples, dtype=np.float32)
    fall = np.minimum(1.0, np.arange(samples, dtype=np.float32) / (0.004 * part.sample_rate))
    dip = 1.0 - np.float32(depth) * fall * (1.0 - rise) ** 2
    gain = np.ones(part.samples, dtype=np.float32)
    for note in drums:
        onset = round(note.start_seconds * part.sample_rate) - part.first
        begin, end = max(0, onset), min(part.samples, onset + samples)
        if note.pitch == DRUM_PITCHES["kick"] and begin < end:
            gain[begin:end] = np.minimum(gain[begin:end], dip[begin - onset : end - onset])
    return gain


def limited(sound: np.ndarray, ceiling: float) -> np.ndarray:
    """Leaves samples up to 0.6 of the ceiling alone and bends the rest towards it; without memory, float32."""
    knee = np.float32(0.6 * ceiling)
    room = np.float32(ceiling) - knee
    size = np.abs(sound)
    bent = knee + room * np.tanh((size - knee) / room)
    return np.where(size > knee, np.copysign(bent, sound), sound).astype(np.float32)
