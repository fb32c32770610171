"""From patterns to notes: one function per stem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdm_adapter.music.harmony import Key, nearest_pitch
from lmdm_adapter.music.song import Note
from lmdm_adapter.music.styles import Groove, Line

STEPS_PER_BAR = 16

DRUM_PITCHES = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "closed hat": 42, "low tom": 45, "open hat": 46, "mid tom": 47,
    "crash": 49, "high tom": 50, "ride": 51, "tambourine": 54, "shaker": 70,
}  # fmt: skip

_DRUM_VELOCITIES = {"X": 120, "x": 100, "o": 58}
_FILLS = (
    (("snare", "............x.xx"),),
    (("snare", "............xxxx"), ("high tom", "..........x.....")),
    (("high tom", "........x.x....."), ("mid tom", "..........x.x..."), ("low tom", "............x.xx")),
    (("mid tom", "............xx.."), ("low tom", "..............xx")),
)


@dataclass(frozen=True)
class Grid:
    """Where the sixteenths are. `swing` delays every second one, as a share of a sixteenth."""

    tempo_bpm: int
    swing: float = 0.0

    @property
    def step_seconds(self) -> float:
        """Length of a sixteenth."""
        return 15.0 / self.tempo_bpm

    def seconds(self, bar: int, step: float = 0.0) -> float:
        """Time of `step` sixteenths into `bar`."""
        delay = self.swing if step % 2 == 1 else 0.0
        return (bar * STEPS_PER_BAR + step + delay) * self.step_seconds


def pick(rng: np.random.Generator, options: tuple) -> object:
    """One of `options`, each as likely; always exactly one draw."""
    return options[int(rng.integers(len(options)))]


def _bar_of(pattern: str, bar: int) -> str:
    """The sixteen characters of a pattern of one or more bars that belong to `bar`."""
    bars = len(pattern) // STEPS_PER_BAR
    first = (bar % bars) * STEPS_PER_BAR
    return pattern[first : first + STEPS_PER_BAR]


def _strokes(steps: str) -> list[tuple[int, int, str]]:
    """(step, length in steps, character) of every note of a bar; `-` lengthens the note before it."""
    strokes = []
    for step, character in enumerate(steps):
        if character not in ".-":
            held = len(steps[step + 1 :]) - len(steps[step + 1 :].lstrip("-"))
            strokes.append((step, 1 + held, character))
    return strokes


def _accent(step: int) -> int:
    return 104 if step % 4 == 0 else 92


def _drum_bar(voices: dict[str, str], bar: int, fill: tuple, crash: bool) -> list[tuple[str, int, int]]:
    """(drum, step, velocity) of one bar; a fill silences the other drums, kick apart, where it plays."""
    fill_start = min((line.find("x") for _, line in fill), default=STEPS_PER_BAR)
    hits = []
    for voice, pattern in voices.items():
        for step, _, character in _strokes(_bar_of(pattern, bar)):
            if step < fill_start or voice == "kick":
                hits.append((voice, step, _DRUM_VELOCITIES[character]))
    for voice, line in fill:
        hits += [(voice, step, 84 + 2 * step) for step, _, _ in _strokes(line)]
    return hits + ([("crash", 0, 96)] if crash else [])


def drum_notes(groove: Groove, grid: Grid, *, active: list[bool], rng: np.random.Generator) -> tuple[Note, ...]:
    """The drum part: one pattern per drum for the whole song, a fill each fourth bar, a crash after each eighth."""
    voices = {voice: pick(rng, patterns) for voice, patterns in groove.voices.items()}
    fills = (pick(rng, _FILLS), pick(rng, _FILLS))
    notes = []
    for bar, sounding in enumerate(active):
        fill = fills[bar // 4 % 2] if groove.fills and bar % 4 == 3 else ()
        if sounding:
            for voice, step, velocity in _drum_bar(voices, bar, fill, groove.fills and bar % 8 == 0 and bar > 0):
                start = grid.seconds(bar, step)
                notes.append(Note(DRUM_PITCHES[voice], velocity, start, grid.step_seconds))
    return tuple(notes)


def bass_notes(
    line: Line, grid: Grid, *, active: list[bool], tones: list[tuple[int, ...]], rng: np.random.Generator
) -> tuple[Note, ...]:
    """The bass part: root, octave and fifth of each bar's chord (`tones` per bar, root first)."""
    pattern = pick(rng, line.patterns)
    notes = []
    for bar, sounding in enumerate(active):
        root = nearest_pitch(tones[bar][0], line.centre)
        lift = {"R": 0, "O": 12, "F": 7}
        for step, length, character in _strokes(_bar_of(pattern, bar)) if sounding else ():
            duration = length * grid.step_seconds * line.gate
            notes.append(Note(root + lift[character], _accent(step) + 6, grid.seconds(bar, step), duration))
    return tuple(notes)


def voicing(tones: tuple[int, ...], centre: int) -> list[int]:
    """Pitches of a chord within one octave around `centre`, low to high; two tones (a power chord) get the octave."""
    if len(tones) == 2:
        root = nearest_pitch(tones[0], centre)
        return [root, root + 7, root + 12]
    return sorted(nearest_pitch(tone, centre) for tone in tones)


def _chord_pitches(pitches: list[int], character: str) -> list[int]:
    if character == "x":
        return pitches
    octave, index = divmod(int(character), len(pitches))
    return [pitches[index] + 12 * octave]


def chord_notes(
    line: Line, grid: Grid, *, active: list[bool], tones: list[tuple[int, ...]], rng: np.random.Generator
) -> tuple[Note, ...]:
    """The chord part: whole chords or arpeggios in close position, `line.size` tones of each bar's chord."""
    pattern = pick(rng, line.patterns)
    notes = []
    for bar, sounding in enumerate(active):
        pitches = voicing(tones[bar][: line.size], line.centre)
        for step, length, character in _strokes(_bar_of(pattern, bar)) if sounding else ():
            start, duration = grid.seconds(bar, step), length * grid.step_seconds * line.gate
            notes += [Note(p, _accent(step) - 8, start, duration) for p in _chord_pitches(pitches, character)]
    return tuple(notes)


def _motif(rng: np.random.Generator, length: int = 32) -> list[int]:
    """A contour in scale steps around zero: a lazy random walk pulled back to the centre."""
    walk, position = [], int(rng.integers(-2, 3))
    for step in rng.choice([-2, -1, -1, 0, 1, 1, 2], size=length):
        position += int(step) - (position > 4) + (position < -4)
        walk.append(position)
    return walk


def lead_notes(
    line: Line, grid: Grid, *, active: list[bool], tones: list[tuple[int, ...]], key: Key, rng: np.random.Generator
) -> tuple[Note, ...]:
    """The lead: one motif of two bars in the key; on quarter notes it moves to the nearest tone of the chord."""
    pattern, walk = pick(rng, line.patterns), _motif(rng)
    ladder = [pitch for pitch in range(line.centre - 14, line.centre + 15) if pitch % 12 in key.scale]
    notes = []
    for bar, sounding in enumerate(active):
        for step, length, _ in _strokes(_bar_of(pattern, bar)) if sounding else ():
            rung = len(ladder) // 2 + walk[bar % 2 * STEPS_PER_BAR + step]
            pitch = ladder[min(max(rung, 0), len(ladder) - 1)]  # a long walk stays within the instrument's range
            if step % 4 == 0:
                pitch = min((nearest_pitch(tone, pitch) for tone in tones[bar]), key=lambda p, q=pitch: abs(p - q))
            duration = length * grid.step_seconds * line.gate
            notes.append(Note(pitch, _accent(step), grid.seconds(bar, step), duration))
    return tuple(notes)


def loosened(notes: tuple[Note, ...], *, loose_seconds: float, rng: np.random.Generator) -> tuple[Note, ...]:
    """The notes with small normal timing errors (standard deviation `loose_seconds`), never before time 0."""
    if loose_seconds == 0.0:
        return notes
    shifts = rng.normal(0.0, loose_seconds, size=len(notes))
    return tuple(
        Note(n.pitch, n.velocity, max(0.0, n.start_seconds + float(s)), n.duration_seconds)
        for n, s in zip(notes, shifts, strict=True)
    )
