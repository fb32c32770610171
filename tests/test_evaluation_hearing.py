"""Estimators on songs and sounds whose truth is known, and scores on answers that are right, near and wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import agreement
from lmdm_adapter.evaluation.agreement import prompt_agreement, song_agreement, steady_f1, tempo_error_percent
from lmdm_adapter.evaluation.hearing import Heard, HeardChord, centroid_hz, hear, loudness_db, track_beats
from lmdm_adapter.music import HELD_OUT_SEEDS, Song, compose, mix, render

RATE, SECONDS = 16_000, 12.0


def song(**settings: object) -> Song:
    """A song."""
    return compose(HELD_OUT_SEEDS[4], style="synthwave", seconds=SECONDS, **settings)


def heard(of: Song) -> Heard:
    """What is heard of a rendered song."""
    return hear(mix(render(of, RATE, seconds=SECONDS)))


@pytest.fixture(scope="module")
def known() -> tuple[Song, Heard]:
    one = song(tempo_bpm=124, key="A minor")
    return one, heard(one)


def chords(*roots: tuple[int, str]) -> Audio:
    """Three seconds of each triad, as plain tones over its root."""
    times = np.arange(3 * RATE) / RATE
    parts = []
    for root, quality in roots:
        pitches = [root - 12, root, root + (4 if quality == "maj" else 3), root + 7]
        parts.append(sum(np.sin(2 * np.pi * 261.6256 * 2.0 ** (pitch / 12) * times) for pitch in pitches))
    return Audio(0.1 * np.concatenate(parts)[None].astype(np.float32), RATE)


def clicks(bpm: float, start_seconds: float) -> Audio:
    """A burst of noise on every beat."""
    sound, burst = np.zeros(round(SECONDS * RATE), dtype=np.float32), np.random.default_rng(0).normal(0, 0.3, 320)
    for beat in np.arange(start_seconds, SECONDS - 0.1, 60.0 / bpm):
        sound[round(beat * RATE) :][:320] += burst
    return Audio(sound[None], RATE)


def test_a_song_agrees_with_its_own_prompt_and_not_with_another(known):
    one, found = known
    right = prompt_agreement(found, "synthwave", one)
    assert right["tempo_match"] == 1.0 and right["tempo_error_percent"] < 1.0 and right["beat_f1"] > 0.9
    assert right["key_match"] == right["key_score"] == 1.0 and right["chords_in_key"] > 0.7
    assert right["style_match"] == 1.0
    wrong = prompt_agreement(found, "funk", song(tempo_bpm=103, key="C# major"))
    assert wrong["tempo_match"] == wrong["key_match"] == wrong["style_match"] == 0.0
    assert wrong["tempo_error_percent"] > 15.0 and wrong["beat_f1"] < 0.6 and wrong["chords_in_key"] < 0.5


def test_a_song_agrees_with_its_own_beats_and_chords(known):
    one, found = known
    right = song_agreement(found, one, start_seconds=0.0)
    assert right["grid_f1_either"] > 0.9 and right["chord_root"] > 0.6
    wrong = song_agreement(found, song(tempo_bpm=103, key="Eb minor"), start_seconds=0.0)
    assert wrong["grid_f1_either"] < 0.6 and wrong["chord_root"] < 0.4


def test_measures_are_those_that_reports_know(known):
    one, found = known
    assert list(prompt_agreement(found, "synthwave", one)) == [each.name for each in agreement.PROMPT_MEASURES]
    assert list(agreement.sound_figures(found)) == [each.name for each in agreement.SOUND_MEASURES]
    assert list(song_agreement(found, one, start_seconds=0.0)) == [each.name for each in agreement.SONG_MEASURES]


@pytest.mark.parametrize("start_seconds", [0.1, 0.33])
def test_beats_are_where_the_clicks_are(start_seconds):
    beats = track_beats(clicks(110.0, start_seconds), 110.0)
    phase = (beats - start_seconds + 30.0 / 110.0) % (60.0 / 110.0) - 30.0 / 110.0
    assert len(beats) >= 20 and np.abs(np.median(phase)) < 0.03


def test_triads_are_heard_by_name():
    found = hear(chords((0, "maj"), (9, "min"), (5, "maj"), (7, "maj")))
    middles = [found.chords[second] for second in (1, 4, 7, 10)]
    assert [(one.root, one.quality) for one in middles] == [(0, "maj"), (9, "min"), (5, "maj"), (7, "maj")]
    assert found.key == "C major"


def test_a_second_half_is_held_against_the_second_half(known):
    """Chords and beats are those that follow, not those of the beginning."""
    one, found = known
    half = one.chords[1].start_seconds
    shifted = replace(found, chords=tuple(
        HeardChord(0, "maj", float(second), second + 1.0) for second in range(int(SECONDS))
    ))  # fmt: skip
    labels = agreement._song_chords(one, half, 1.0)[1]
    assert labels[0].split(":")[0] == agreement.PITCH_NAMES[one.chords[1].tones[0]]
    assert 0.0 <= song_agreement(shifted, one, start_seconds=half)["chord_root"] <= 1.0


def test_silence_has_no_music_in_it():
    found = hear(Audio(np.zeros((1, round(SECONDS * RATE)), dtype=np.float32), RATE))
    assert (found.tempo_bpm, found.key, len(found.beats_seconds), found.chords) == (None, None, 0, ())
    assert found.loudness_db == -100.0 and found.centroid_hz == 0.0
    one = song(tempo_bpm=124)
    figures = prompt_agreement(found, "synthwave", one) | song_agreement(found, one, start_seconds=0.0)
    assert figures.pop("style_match") == 1.0 and figures.pop("tempo_error_percent") > 41.0
    assert not any(figures.values())


def test_tempo_errors_forgive_octaves_and_nothing_else():
    assert tempo_error_percent(100.0, 200.0) == tempo_error_percent(100.0, 50.0) == 0.0
    assert tempo_error_percent(100.0, 110.0) == pytest.approx(10.0) == pytest.approx(tempo_error_percent(110.0, 100.0))
    assert tempo_error_percent(100.0, 141.0) == pytest.approx(41.0)


def test_a_steady_grid_needs_the_tempo_but_no_phase():
    beats = np.arange(0.21, 30.0, 0.5)
    assert steady_f1(beats, 120.0, 30.0) > 0.99
    assert steady_f1(beats, 132.0, 30.0) < 0.6 and steady_f1(np.zeros(0), 120.0, 30.0) == 0.0


def test_near_keys_count_in_part():
    scores = [agreement.key_score("A minor", key) for key in ("A minor", "C major", "A major", "F# major", None)]
    assert scores == [1.0, 0.3, 0.2, 0.0, 0.0]


def test_levels_and_centres_of_plain_sounds():
    times = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1000.0 * times)
    assert loudness_db(tone) == pytest.approx(-3.01, abs=0.01)
    assert centroid_hz(tone, RATE) == pytest.approx(1000.0, abs=1.0)
    assert centroid_hz(tone + np.sin(2 * np.pi * 3000.0 * times), RATE) == pytest.approx(2000.0, abs=1.0)


def test_nan_is_refused():
    with pytest.raises(LmdmError, match="NaN"):
        hear(Audio(np.full((1, 12 * RATE), np.nan, dtype=np.float32), RATE))
