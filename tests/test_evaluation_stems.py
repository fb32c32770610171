"""Notes and beats of a part against songs whose truth is known: right parts, wrong parts, silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.stem_agreement import STEM_MEASURES, onset_times, sounding, stem_agreement
from lmdm_adapter.music import HELD_OUT_SEEDS, Song, Stem, compose, render

RATE, SECONDS = 8000, 12.0


def song(**settings: object) -> Song:
    """A song of which all parts play."""
    return compose(HELD_OUT_SEEDS[0], style="synthwave", seconds=SECONDS, **settings)


def transposed(one: Song, semitones: int) -> Song:
    """The same song, its bass played higher."""
    bass = one.stems["bass"]
    notes = tuple(replace(note, pitch=note.pitch + semitones) for note in bass.notes)
    return replace(one, stems={**one.stems, "bass": replace(bass, notes=notes)})


@pytest.fixture(scope="module")
def known() -> tuple[Song, dict[str, Audio]]:
    """A song and its stems."""
    one = song(tempo_bpm=124, key="A minor")
    return one, render(one, RATE, seconds=SECONDS)


def test_a_bass_fits_its_own_song_and_no_other(known):
    one, stems = known
    right = stem_agreement(stems["bass"], one, ["bass"])
    assert right["chord_tones"] > 0.8 and right["chord_root"] > 0.9 and right["tempo_match"] == 1.0
    assert right["beat_f1"] > 0.9 and right["onset_f1"] > 0.9 and right["pulse"] > 0.3
    assert list(right) == [measure.name for measure in STEM_MEASURES]
    wrong = stem_agreement(stems["bass"], song(tempo_bpm=103, key="Eb minor"), ["bass"])
    assert wrong["chord_tones"] < 0.3 and wrong["chord_root"] < 0.1 and wrong["tempo_match"] == 0.0
    assert wrong["beat_f1"] < 0.8 and wrong["onset_f1"] < 0.5 and wrong["pulse"] < 0.1


def test_chords_fit_their_own_song_and_no_other(known):
    one, stems = known
    right, wrong = (
        stem_agreement(stems["chords"], each, ["chords"]) for each in (one, song(tempo_bpm=124, key="Eb minor"))
    )
    assert right["chord_tones"] > 0.9 and wrong["chord_tones"] < 0.2


def test_a_bass_a_semitone_off_fits_no_chord_though_its_beats_are_right(known):
    one, stems = known
    right = stem_agreement(stems["bass"], one, ["bass"])
    off = stem_agreement(render(transposed(one, 1), RATE, seconds=SECONDS)["bass"], one, ["bass"])
    assert off["chord_tones"] < 0.4 and off["chord_root"] < 0.4 and right["chord_root"] > 0.9
    assert off["beat_f1"] > 0.8


def test_silence_is_no_agreement(known):
    one, stems = known
    silent = stem_agreement(Audio(np.zeros_like(stems["bass"].samples), RATE), one, ["bass"])
    assert not any(silent.values())


def test_rests_of_the_songs_own_part_do_not_count(known):
    """What is played while the song's own bass rests is neither right nor wrong; what is not, while it plays, is."""
    one, stems = known
    bass = one.stems["bass"]
    half = replace(bass, notes=tuple(note for note in bass.notes if note.end_seconds <= SECONDS / 2))
    shorter = replace(one, stems={**one.stems, "bass": half})
    halved = stems["bass"].samples.copy()
    halved[:, round(RATE * SECONDS / 2) :] = 0.0
    complete = stem_agreement(stems["bass"], shorter, ["bass"])
    cut = stem_agreement(Audio(halved, RATE), shorter, ["bass"])
    assert cut["chord_tones"] == pytest.approx(complete["chord_tones"], abs=0.05)
    missed = stem_agreement(Audio(halved, RATE), one, ["bass"])
    assert missed["chord_tones"] < 0.6 * complete["chord_tones"]


def test_a_later_stretch_is_held_against_that_stretch(known):
    one, stems = known
    late = Audio(stems["bass"].samples[:, round(1.75 * RATE) :], RATE)
    assert stem_agreement(late, one, ["bass"], start_seconds=1.75)["chord_root"] > 0.9
    assert stem_agreement(late, one, ["bass"])["chord_root"] < 0.3


def test_drums_have_no_notes(known):
    one, stems = known
    figures = stem_agreement(stems["drums"], one, ["drums"])
    assert np.isnan(figures["chord_tones"]) and figures["beat_f1"] > 0.8


def test_onsets_are_where_sounds_begin():
    sound, burst = np.zeros(4 * RATE, dtype=np.float32), np.random.default_rng(0).normal(0, 0.3, 400)
    for second in (0.5, 1.25, 2.7):
        sound[round(second * RATE) :][:400] += burst
    assert np.abs(onset_times(Audio(sound[None], RATE)) - [0.5, 1.25, 2.7]).max() < 0.04


def test_a_stem_without_notes_never_sounds():
    one = song()
    mute = replace(one, stems={**one.stems, "lead": Stem("square", "lead", ())})
    times = np.arange(0.0, SECONDS, 0.1)
    assert not sounding(mute, ["lead"], times).any() and sounding(mute, ["lead", "drums"], times).any()


def test_too_short_a_part_is_refused(known):
    one, stems = known
    with pytest.raises(LmdmError, match="at least 10 s"):
        stem_agreement(Audio(stems["bass"].samples[:, : 5 * RATE], RATE), one, ["bass"])
