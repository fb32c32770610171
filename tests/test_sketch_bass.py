"""Low notes of songs are heard: the figures in docs/controls.md."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import SketchConfig, sketched
from lmdm_adapter.music import HELD_OUT_SEEDS, Song, compose, mix, render

SECONDS, LOW = 12.0, 36
PIANO = SketchConfig(features=("melody",))
CONSTANT_Q = SketchConfig(features=("melody",), gamma_hz=0.0)


def heard(config: SketchConfig, song: Song, sound: Audio) -> np.ndarray:
    """How many whole frames the song's bass notes fill and in how many the note is heard; then those below C2 alone."""
    melody, seconds = sketched(config, sound).of("melody") > 0.0, config.frame_samples / config.sample_rate
    counts = np.zeros(4, dtype=int)
    for note in song.stems["bass"].notes:
        last = int(min(note.end_seconds, SECONDS) / seconds)
        there = melody[note.pitch - config.lowest_midi, math.ceil(note.start_seconds / seconds) : last]
        counts += np.array([len(there), there.sum()] * 2) * [1, 1, note.pitch < LOW, note.pitch < LOW]
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "alone", "mixed"), [(PIANO, (0.94, 0.94), (0.85, 0.82)), (CONSTANT_Q, (0.93, 0.92), (0.87, 0.82))]
)
def test_bass_notes_are_followed(config: SketchConfig, alone: tuple[float, float], mixed: tuple[float, float]) -> None:
    songs = [compose(seed) for seed in HELD_OUT_SEEDS[:6]]
    stems = [render(song, config.sample_rate, seconds=SECONDS) for song in songs]
    for sounds, expected in (([one["bass"] for one in stems], alone), ([mix(one) for one in stems], mixed)):
        counts = sum(heard(config, song, sound) for song, sound in zip(songs, sounds, strict=True))
        assert counts[2] > 300 and counts[1::2] / counts[::2] == pytest.approx(expected, abs=0.015)
