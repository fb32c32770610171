"""A song as MIDI says what the song says; FluidSynth plays it when it is there."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import STEM_NAMES, STYLES, Note, compose, mix, render_fluidsynth


@pytest.mark.parametrize("style", STYLES)
def test_midi_round_trip(style, tmp_path):
    pretty_midi = pytest.importorskip("pretty_midi")
    song = compose(17, style=style, seconds=12.0)
    song.write_midi(tmp_path / "song.mid")
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "song.mid"))
    assert midi.get_tempo_changes()[1] == pytest.approx([song.tempo_bpm], rel=1e-4)
    tonic, mode = pretty_midi.key_number_to_key_name(midi.key_signature_changes[0].key_number).split()
    assert mode.lower() == song.key.split()[1] and tonic[0] in "ABCDEFG"
    assert np.allclose(midi.get_downbeats()[: song.bars - 1], song.beats_seconds[::4][: song.bars - 1], atol=2e-3)
    assert [part.name for part in midi.instruments] == [name for name in STEM_NAMES if song.stems[name].notes]
    for part in midi.instruments:
        notes = sorted(song.stems[part.name].notes, key=lambda note: (note.start_seconds, note.pitch))
        read = sorted(part.notes, key=lambda note: (note.start, note.pitch))
        assert part.is_drum == (part.name == "drums")
        assert sorted((n.pitch, n.velocity) for n in read) == sorted((n.pitch, n.velocity) for n in notes)
        assert np.allclose([n.start for n in read], [n.start_seconds for n in notes], atol=2e-3)
        assert all(a.duration > 0.0 for a in read)


def test_no_pitch_sounds_twice_in_midi():
    pytest.importorskip("pretty_midi")
    song = compose(1, seconds=4.0)
    notes = (Note(60, 90, 0.0, 1.0), Note(60, 80, 0.6, 0.5), Note(64, 70, 0.2, 1.0))
    stems = {**song.stems, "chords": replace(song.stems["chords"], notes=notes)}
    midi = replace(song, stems=stems).to_midi()
    part = next(part for part in midi.instruments if part.name == "chords")
    read = [(note.pitch, note.velocity, note.start, note.end) for note in part.notes]
    assert read == [(60, 90, 0.0, 0.6), (64, 70, 0.2, 1.2), (60, 80, 0.6, 1.1)]


def test_missing_pretty_midi_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(LmdmError, match=r"pip install 'lmdm-adapter\[music\]'"):
        compose(1, seconds=4.0).to_midi()


def test_missing_fluidsynth_names_the_install_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LmdmError, match="apt-get install fluidsynth fluid-soundfont-gm"):
        render_fluidsynth(compose(1, seconds=4.0), 22050)


@pytest.mark.fluidsynth
def test_missing_soundfont_is_named(tmp_path):
    with pytest.raises(LmdmError, match="none.sf2"):
        render_fluidsynth(compose(1, seconds=4.0), 22050, soundfont=tmp_path / "none.sf2")


@pytest.mark.fluidsynth
def test_fluidsynth_plays_the_song():
    song = compose(1, seconds=6.0)
    stems = render_fluidsynth(song, 22050)
    again = render_fluidsynth(song, 22050)
    for name in STEM_NAMES:
        assert stems[name].samples.shape == (1, round(song.seconds * 22050))
        assert (np.abs(stems[name].samples).max() > 0.01) == bool(song.stems[name].notes)
        assert np.array_equal(stems[name].samples, again[name].samples)
    assert np.abs(mix(stems).samples).max() < 1.0
    first = song.stems["drums"].notes[0].start_seconds
    assert np.flatnonzero(np.abs(stems["drums"].samples[0]) > 0.01)[0] / 22050 == pytest.approx(first, abs=0.03)
