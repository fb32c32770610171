"""What a style is: a recipe for songs, as data.

Patterns are read one character per sixteenth, sixteen to a bar, longer ones over several bars.
Drums: `X` accent, `x` hit, `o` soft hit. Bass: `R` root, `O` root an octave up, `F` fifth. Chords: `x` the whole chord,
a digit the chord tone of that number (it runs on into the next octave). Lead: `x` a note of the motif.
Everywhere `.` is a rest and `-` holds the note before it.
"""

from __future__ import annotations

from dataclasses import dataclass

MOODS = {"dark": 0.6, "dusty": 0.65, "warm": 0.8, "clear": 1.05, "bright": 1.4}


@dataclass(frozen=True)
class Groove:
    """A drum part: its kit, and for each drum the patterns of which a song takes one."""

    phrase: str
    kit: str
    voices: dict[str, tuple[str, ...]]
    fills: bool = True


@dataclass(frozen=True)
class Line:
    """A bass, chord or lead part: a patch and the patterns of which a song takes one. `size` counts chord tones."""

    phrase: str
    patch: str
    patterns: tuple[str, ...]
    centre: int = 60
    size: int = 3
    gate: float = 0.95


@dataclass(frozen=True)
class Style:
    """A recipe for songs. `progressions` has scale degrees (0 = tonic) per mode; leads may be None (no lead)."""

    name: str
    tempo_range: tuple[int, int]
    moods: tuple[str, ...]
    minor_share: float
    progressions: dict[str, tuple[tuple[int, ...], ...]]
    grooves: tuple[Groove, ...]
    basses: tuple[Line, ...]
    chords: tuple[Line, ...]
    leads: tuple[Line | None, ...]
    bars_per_chord: int = 1
    swing: float = 0.0
    loose_seconds: float = 0.0
