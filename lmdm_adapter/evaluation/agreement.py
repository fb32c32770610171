"""What was heard, held against what was asked for: a prompt's tempo, key and style, or a song's own beats and chords.

Beats and keys are scored by mir_eval (Raffel et al. 2014).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.evaluation.extras import extra
from lmdm_adapter.evaluation.hearing import Heard
from lmdm_adapter.evaluation.tempo import within
from lmdm_adapter.music import Chord, Song
from lmdm_adapter.music.harmony import parse_key

PITCH_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
QUALITIES = {
    (0, 4, 7): "maj", (0, 3, 7): "min", (0, 3, 6): "dim", (0, 7): "5", (0, 4, 7, 11): "maj7", (0, 4, 7, 10): "7",
    (0, 3, 7, 10): "min7", (0, 3, 6, 10): "hdim7",
}  # fmt: skip
"""Intervals of a song's chords, in mir_eval's spelling."""
PHASES = 24
LARGEST_ERROR_PERCENT = 100.0 * (math.sqrt(2.0) - 1.0)
"""Nothing is farther from a tempo than half an octave, once half and double time count as right."""


@dataclass(frozen=True)
class Measure:
    """A figure of one window: its name in JSON, what a reader calls it, its unit, and which way is better."""

    name: str
    label: str
    unit: str = ""
    better: str = "high"


PROMPT_MEASURES = (
    Measure("tempo_match", "Tempo of the prompt within 4 %", "share"),
    Measure("tempo_error_percent", "Tempo error, half and double time forgiven", "%", "low"),
    Measure("beat_f1", "Beat F1 against a steady grid at the prompt's tempo, best phase"),
    Measure("key_match", "Key of the prompt", "share"),
    Measure("key_score", "Key, weighted: fifth, relative and parallel count in part"),
    Measure("chords_in_key", "Chords that belong to the prompt's key", "share"),
    Measure("style_match", "Style of the prompt, nearest of eight", "share"),
)
SOUND_MEASURES = (
    Measure("loudness_db", "Loudness (RMS)", "dB", ""),
    Measure("centroid_hz", "Spectral centroid", "Hz", ""),
)
SONG_MEASURES = (
    Measure("grid_f1", "Beat F1 against the song's beats"),
    Measure("grid_f1_either", "Beat F1 against its beats or its off-beats"),
    Measure("chord_root", "Root of the song's chord", "share of time"),
    Measure("chord_majmin", "Song's chord, major or minor triad", "share of time"),
)


def prompt_agreement(heard: Heard, style: str, song: Song) -> dict[str, float]:
    """All PROMPT_MEASURES of one window against the song that lent its prompt; `style` is the one heard."""
    scale = frozenset(parse_key(song.key).scale)
    inside = [chord.tones <= scale for chord in heard.chords]
    return {
        "tempo_match": float(heard.tempo_bpm is not None and within(song.tempo_bpm, heard.tempo_bpm)),
        "tempo_error_percent": tempo_error_percent(song.tempo_bpm, heard.tempo_bpm),
        "beat_f1": steady_f1(heard.beats_seconds, song.tempo_bpm, heard.seconds),
        "key_match": float(heard.key == song.key),
        "key_score": key_score(song.key, heard.key),
        "chords_in_key": float(np.mean(inside)) if inside else 0.0,
        "style_match": float(style == song.style),
    }


def sound_figures(heard: Heard) -> dict[str, float]:
    """All SOUND_MEASURES of one window."""
    return {"loudness_db": heard.loudness_db, "centroid_hz": heard.centroid_hz}


def song_agreement(heard: Heard, song: Song, *, start_seconds: float) -> dict[str, float]:
    """All SONG_MEASURES of a window that begins `start_seconds` into the song; NaN where the song has no such chord."""
    beats = np.asarray(song.beats_seconds) - start_seconds
    off_beats = beats + 30.0 / song.tempo_bpm
    on, off = (beat_f1(times, heard.beats_seconds, heard.seconds) for times in (beats, off_beats))
    return {"grid_f1": on, "grid_f1_either": max(on, off), **chord_agreement(heard, song, start_seconds=start_seconds)}


def tempo_error_percent(asked_bpm: float, heard_bpm: float | None) -> float:
    """How far a tempo is off in %, after the octave nearest to the one asked for; the largest error for silence."""
    if heard_bpm is None:
        return LARGEST_ERROR_PERCENT
    octaves = math.log2(heard_bpm / asked_bpm)
    return 100.0 * (2.0 ** abs(octaves - round(octaves)) - 1.0)


def beat_f1(reference: np.ndarray, beats: np.ndarray, seconds: float) -> float:
    """F-measure of beat times within 70 ms, of those reference beats that lie within `seconds`; 0 without beats."""
    mir_eval = extra("mir_eval", "Scoring beats")
    inside = reference[(reference >= 0.0) & (reference < seconds)]
    return float(mir_eval.beat.f_measure(inside, beats)) if len(inside) and len(beats) else 0.0


def steady_f1(beats: np.ndarray, tempo_bpm: float, seconds: float) -> float:
    """Beat F1 against an even grid at `tempo_bpm`, at the best of 24 phases: a prompt says how fast, not when."""
    period = 60.0 / tempo_bpm
    grids = (np.arange(phase * period / PHASES, seconds, period) for phase in range(PHASES))
    return max(beat_f1(grid, beats, seconds) for grid in grids)


def key_score(asked: str, heard: str | None) -> float:
    """1 for the key, 0.5 for a fifth above, 0.3 for its relative, 0.2 for its parallel, 0 else (MIREX)."""
    mir_eval = extra("mir_eval", "Scoring keys")
    return 0.0 if heard is None else float(mir_eval.key.weighted_score(asked, heard))


def chord_agreement(heard: Heard, song: Song, *, start_seconds: float) -> dict[str, float]:
    """Share of time with the right root, and with the right triad where the song's chord has one."""
    chord = extra("mir_eval.chord", "Scoring chords")
    merge = extra("mir_eval.util", "Scoring chords").merge_labeled_intervals
    if not heard.chords:
        return {"chord_root": 0.0, "chord_majmin": 0.0}
    times, labels = _song_chords(song, start_seconds, heard.seconds)
    heard_times = np.array([(one.start_seconds, one.end_seconds) for one in heard.chords])
    heard_labels = [f"{PITCH_NAMES[one.root]}:{one.quality}" for one in heard.chords]
    with warnings.catch_warnings():
        # mir_eval warns when no chord is a major or minor triad; the NaN says so here.
        warnings.simplefilter("ignore")
        pieces, asked, played = merge(times, labels, heard_times, heard_labels)
        lengths = pieces[:, 1] - pieces[:, 0]
        return {
            "chord_root": _share(chord.root(asked, played), lengths),
            "chord_majmin": _share(chord.majmin(asked, played), lengths),
        }


def _song_chords(song: Song, start_seconds: float, seconds: float) -> tuple[np.ndarray, list[str]]:
    """The song's chords in a window, (chords, 2) and in mir_eval's spelling; past its end its last one goes on."""
    edges = [max(chord.start_seconds - start_seconds, 0.0) for chord in song.chords]
    times, labels = [], []
    for chord, first, last in zip(song.chords, edges, [*edges[1:], math.inf], strict=True):
        if first < min(last, seconds):
            times.append((first, min(last, seconds)))
            labels.append(f"{PITCH_NAMES[chord.tones[0]]}:{_quality(chord)}")
    return np.array(times), labels


def _quality(chord: Chord) -> str:
    return QUALITIES[tuple((tone - chord.tones[0]) % 12 for tone in chord.tones)]


def _share(scores: np.ndarray, lengths: np.ndarray) -> float:
    """The mean of scores, weighted by length; mir_eval marks what it cannot compare by -1."""
    known = scores >= 0.0
    return float(scores[known] @ lengths[known] / lengths[known].sum()) if known.any() else math.nan
