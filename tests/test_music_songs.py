"""A seed is a song: composing is a pure function with known ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import HELD_OUT_SEEDS, KEYS, STEM_NAMES, STYLES, TRAIN_SEEDS, compose
from lmdm_adapter.music.harmony import parse_key


def test_same_seed_same_song_and_another_seed_another():
    assert compose(3) == compose(3)
    assert compose(3) != compose(4)


@pytest.mark.parametrize("style", STYLES)
def test_a_longer_song_begins_with_the_shorter_one(style):
    short, long = compose(5, style=style, seconds=9.0), compose(5, style=style, seconds=31.0)
    for name in STEM_NAMES:
        notes = short.stems[name].notes
        assert long.stems[name].notes[: len(notes)] == notes
    assert sum(len(long.stems[name].notes) > len(short.stems[name].notes) for name in STEM_NAMES) >= 2


def test_given_tempo_and_key_change_nothing_else():
    song, moved = compose(8, seconds=10.0), compose(8, seconds=10.0, tempo_bpm=77, key="Eb major")
    assert (moved.tempo_bpm, moved.key) == (77, "Eb major")
    assert (moved.style, moved.mood) == (song.style, song.mood)
    assert [stem.phrase for stem in moved.stems.values()] == [stem.phrase for stem in song.stems.values()]


@pytest.mark.parametrize("seed", range(12))
def test_ground_truth_is_consistent(seed):
    song = compose(seed, seconds=20.0)
    assert song.key in KEYS and song.style in STYLES and tuple(song.stems) == STEM_NAMES
    assert 20.0 <= song.seconds < 20.0 + 240.0 / song.tempo_bpm
    assert np.allclose(np.diff(song.beats_seconds), 60.0 / song.tempo_bpm) and len(song.beats_seconds) == 4 * song.bars
    edges = [0.0, *(chord.end_seconds for chord in song.chords)]
    assert edges[:-1] == [chord.start_seconds for chord in song.chords] and edges[-1] == pytest.approx(song.seconds)


@pytest.mark.parametrize("seed", range(12))
def test_every_note_is_inside_the_song_and_in_its_harmony(seed):
    song = compose(seed, seconds=20.0)
    scale = set(parse_key(song.key).scale)
    for name in ("bass", "chords", "lead"):
        for note in song.stems[name].notes:
            assert 0.0 <= note.start_seconds < song.seconds and note.duration_seconds > 0.0
            assert 1 <= note.velocity <= 127
            middle = note.start_seconds + 0.4 * note.duration_seconds
            chord = next(c for c in song.chords if c.start_seconds <= middle < c.end_seconds)
            allowed = {"chords": set(chord.tones), "bass": {chord.tones[0], (chord.tones[0] + 7) % 12}}
            assert note.pitch % 12 in allowed.get(name, scale | set(chord.tones))


def test_seeds_cover_styles_keys_and_tempos():
    songs = [compose(seed, seconds=1.0) for seed in range(300)]
    assert {song.style for song in songs} == set(STYLES)
    assert len({song.key for song in songs}) == 24
    assert min(song.tempo_bpm for song in songs) < 80 and max(song.tempo_bpm for song in songs) > 170


def test_drum_patterns_of_styles_differ():
    bars = {style: compose(1, style=style, seconds=40.0).stems["drums"].notes for style in STYLES}
    steps = {
        style: {(note.pitch, round(note.start_seconds * STYLES[style].tempo_range[0])) for note in notes}
        for style, notes in bars.items()
    }
    assert len({frozenset(value) for value in steps.values()}) == len(STYLES)


def test_held_out_seeds_are_disjoint_from_training_seeds():
    assert TRAIN_SEEDS.stop <= HELD_OUT_SEEDS.start and len(TRAIN_SEEDS) > 0 and len(HELD_OUT_SEEDS) > 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"style": "polka"}, "polka"),
        ({"key": "H minor"}, "H minor"),
        ({"tempo_bpm": 0}, "0"),
        ({"tempo_bpm": 120.5}, "120.5"),
        ({"seconds": 0.0}, "0.0"),
        ({"seconds": float("inf")}, "inf"),
    ],
)
def test_bad_requests_are_refused_by_name(arguments, word):
    with pytest.raises(LmdmError, match=word):
        compose(1, **arguments)


def test_negative_seed_is_refused():
    with pytest.raises(LmdmError, match="-1"):
        compose(-1)


def test_a_lead_that_wanders_stays_in_its_range():
    """Song 610 once walked off its instrument's ladder."""
    for seed in (610, *range(40)):
        song = compose(seed, seconds=40)
        pitches = [note.pitch for note in song.stems["lead"].notes]
        assert all(0 < pitch < 128 for pitch in pitches)
        assert not pitches or max(pitches) - min(pitches) <= 30
