"""Songs as MIDI, through pretty_midi (extra `[music]`)."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music.harmony import parse_key
from lmdm_adapter.music.patches import PATCHES
from lmdm_adapter.music.song import STEM_NAMES, Note, Song

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI

_TICKS_PER_BEAT = 960


def to_midi(song: Song, names: Iterable[str] = STEM_NAMES) -> PrettyMIDI:
    """The song as a PrettyMIDI object: tempo, 4/4, key signature, one named instrument per stem with notes.

    MIDI cannot hold one pitch twice at a time, so a note ends where the next one of its pitch begins. Raises
    LmdmError when pretty_midi is not installed.
    """
    pretty_midi = _pretty_midi()
    midi = pretty_midi.PrettyMIDI(resolution=_TICKS_PER_BEAT, initial_tempo=float(song.tempo_bpm))
    midi.time_signature_changes.append(pretty_midi.TimeSignature(4, 4, 0.0))
    key = parse_key(song.key)
    midi.key_signature_changes.append(pretty_midi.KeySignature(key.tonic + 12 * (key.mode == "minor"), 0.0))
    for name in names:
        stem = song.stems[name]
        if stem.notes:
            program = 0 if name == "drums" else PATCHES[stem.patch].program
            instrument = pretty_midi.Instrument(program, is_drum=name == "drums", name=name)
            instrument.notes = [pretty_midi.Note(*event) for event in _events(stem.notes)]
            midi.instruments.append(instrument)
    return midi


def _pretty_midi() -> ModuleType:
    try:
        import pretty_midi
    except ImportError as missing:
        raise LmdmError("MIDI needs pretty_midi: pip install 'lmdm-adapter[music]'.") from missing
    return pretty_midi


def _events(notes: tuple[Note, ...]) -> list[tuple[int, int, float, float]]:
    """(velocity, pitch, start, end) in order of time, no pitch sounding twice."""
    events, next_start = [], {}
    for note in sorted(notes, key=lambda note: note.start_seconds, reverse=True):
        end = min(note.end_seconds, next_start.get(note.pitch, note.end_seconds))
        if end > note.start_seconds:
            events.append((note.velocity, note.pitch, note.start_seconds, end))
            next_start[note.pitch] = note.start_seconds
    return events[::-1]
