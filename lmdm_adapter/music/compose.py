"""Composing: a seed becomes a song."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music.harmony import KEYS, Key, chord_name, parse_key
from lmdm_adapter.music.parts import (
    Grid,
    bass_notes,
    chord_notes,
    drum_notes,
    lead_notes,
    loosened,
    pick,
)
from lmdm_adapter.music.prompts import describe
from lmdm_adapter.music.song import STEM_NAMES, Chord, Song, Stem
from lmdm_adapter.music.style_book import STYLES, find_style
from lmdm_adapter.music.styles import MOODS, Line, Style

TRAIN_SEEDS = range(0, 1_000_000)
"""Seeds that training may use. The border between the two ranges is the held-out split."""
HELD_OUT_SEEDS = range(1_000_000, 2_000_000)
"""Seeds that only evaluation may use."""

_TEMPO_LIMITS_BPM = (40, 240)
_SECTION_BARS = 4
# Which stems play in a section of four bars. A song begins with an opening, then most sections are full.
_OPENINGS = (("drums", "bass"), ("drums", "chords"), ("bass", "chords"), STEM_NAMES)
_FULL = STEM_NAMES
_NO_LEAD = ("drums", "bass", "chords")
_BREAKS = (("chords", "lead"), ("drums", "bass"), ("bass", "chords"), ("drums", "chords", "lead"))


def compose(
    seed: int,
    *,
    style: str | None = None,
    tempo_bpm: int | None = None,
    key: str | None = None,
    seconds: float = 40.0,
) -> Song:
    """Compose a song of at least `seconds`, in whole bars of 4/4.

    `seed` fixes everything that is not given: a song with another tempo, key or length is otherwise the same
    piece, and a longer song begins with the shorter one. Raises LmdmError for an unknown style or key, a seed that is
    negative, a tempo that is no whole number from 40 to 240, or a length that is not positive.
    """
    _check(seed, tempo_bpm, seconds)
    rng = _generator(seed, 0)
    drawn_style = pick(rng, tuple(STYLES))
    recipe = find_style(style or drawn_style)
    low, high = recipe.tempo_range
    drawn_tempo = int(rng.integers(low, high + 1))
    tempo = drawn_tempo if tempo_bpm is None else int(tempo_bpm)
    drawn_key = _drawn_key(rng, recipe)
    tonality = parse_key(key) if key is not None else drawn_key
    mood = pick(rng, recipe.moods)
    bars = max(1, math.ceil(seconds * tempo / 240.0 - 1e-9))
    return _written(seed, recipe, tempo, tonality, mood, bars)


def _check(seed: int, tempo_bpm: int | None, seconds: float) -> None:
    low, high = _TEMPO_LIMITS_BPM
    if seed < 0:
        raise LmdmError(f"A song needs a seed of 0 or more, got {seed}.")
    if tempo_bpm is not None and not (low <= tempo_bpm <= high and tempo_bpm == int(tempo_bpm)):
        raise LmdmError(f"A song needs a tempo that is a whole number from {low} to {high} BPM, got {tempo_bpm}.")
    if not 0.0 < seconds < math.inf:
        raise LmdmError(f"A song needs a positive length in seconds, got {seconds}.")


def _generator(seed: int, purpose: int) -> np.random.Generator:
    """One independent stream of randomness per purpose, so that a choice in one part never moves another part."""
    return np.random.default_rng([seed, purpose])


def _drawn_key(rng: np.random.Generator, recipe: Style) -> Key:
    tonic, minor = int(rng.integers(12)), rng.random() < recipe.minor_share
    return parse_key(KEYS[tonic + 12 * minor])


def _written(seed: int, recipe: Style, tempo: int, key: Key, mood: str, bars: int) -> Song:
    grid = Grid(tempo, recipe.swing)
    progression = pick(_generator(seed, 1), recipe.progressions[key.mode])
    degrees = [progression[bar // recipe.bars_per_chord % len(progression)] for bar in range(bars)]
    stems = _stems(seed, recipe, grid, key, mood, degrees)
    song = Song(
        seed=seed,
        style=recipe.name,
        tempo_bpm=tempo,
        key=key.name,
        mood=mood,
        bars=bars,
        beats_seconds=tuple(beat * 60.0 / tempo for beat in range(bars * 4)),
        chords=_chords(grid, key, degrees, size=stems["chords"][1]),
        stems={name: stem for name, (stem, _) in stems.items()},
    )
    return replace(song, prompt=describe(song))


def _chords(grid: Grid, key: Key, degrees: list[int], *, size: int) -> tuple[Chord, ...]:
    """The chord of every bar, neighbours that are equal joined into one."""
    chords: list[Chord] = []
    for bar, degree in enumerate(degrees):
        tones, end = key.chord_tones(degree, size), grid.seconds(bar + 1)
        if chords and chords[-1].tones == tones:
            chords[-1] = replace(chords[-1], end_seconds=end)
        else:
            chords.append(Chord(chord_name(tones, key), tones, grid.seconds(bar), end))
    return tuple(chords)


def _sections(seed: int, bars: int) -> list[tuple[str, ...]]:
    """Which stems play, per bar. Drawn section by section, so that a longer song begins with the shorter one."""
    rng = _generator(seed, 2)
    playing: list[tuple[str, ...]] = []
    for section in range(math.ceil(bars / _SECTION_BARS)):
        options = _OPENINGS if section == 0 else (_FULL, _NO_LEAD) if section % 4 != 3 else _BREAKS
        playing += [pick(rng, options)] * _SECTION_BARS
    return playing[:bars]


def _stems(
    seed: int, recipe: Style, grid: Grid, key: Key, mood: str, degrees: list[int]
) -> dict[str, tuple[Stem, int]]:
    """Every stem with the number of tones of its chords."""
    rng = _generator(seed, 3)
    groove, bass, chords, lead = (
        pick(rng, options) for options in (recipe.grooves, recipe.basses, recipe.chords, recipe.leads)
    )
    sections = _sections(seed, len(degrees))
    active = {name: [name in playing for playing in sections] for name in STEM_NAMES}
    tones = [key.chord_tones(degree, chords.size) for degree in degrees]
    rngs = {name: _generator(seed, 4 + index) for index, name in enumerate(STEM_NAMES)}
    notes = {
        "drums": drum_notes(groove, grid, active=active["drums"], rng=rngs["drums"]),
        "bass": bass_notes(bass, grid, active=active["bass"], tones=tones, rng=rngs["bass"]),
        "chords": chord_notes(chords, grid, active=active["chords"], tones=tones, rng=rngs["chords"]),
        "lead": ()
        if lead is None
        else lead_notes(lead, grid, active=active["lead"], tones=tones, key=key, rng=rngs["lead"]),
    }
    sounds = {"drums": (groove.kit, groove.phrase)}
    sounds |= {name: _sound(line) for name, line in (("bass", bass), ("chords", chords), ("lead", lead))}
    result = {}
    for index, name in enumerate(STEM_NAMES):
        loose = loosened(notes[name], loose_seconds=recipe.loose_seconds, rng=_generator(seed, 8 + index))
        brightness, decay = _tone(_generator(seed, 12 + index), mood)
        result[name] = Stem(*sounds[name], loose, brightness, decay), chords.size
    return result


def _sound(line: Line | None) -> tuple[str, str]:
    return ("", "no lead") if line is None else (line.patch, line.phrase)


def _tone(rng: np.random.Generator, mood: str) -> tuple[float, float]:
    """Brightness around that of the mood, and decay around 1."""
    return MOODS[mood] * float(2 ** rng.uniform(-0.2, 0.2)), float(2 ** rng.uniform(-0.35, 0.35))
