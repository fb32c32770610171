"""A song with known ground truth, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI

STEM_NAMES = ("drums", "bass", "chords", "lead")


@dataclass(frozen=True, slots=True)
class Note:
    """One note event: MIDI `pitch` (a General MIDI drum number in the drums stem) and `velocity` 1..127."""

    pitch: int
    velocity: int
    start_seconds: float
    duration_seconds: float

    @property
    def end_seconds(self) -> float:
        """When the key is released."""
        return self.start_seconds + self.duration_seconds


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord and when it holds; `tones` are pitch classes (0 = C), root first."""

    name: str
    tones: tuple[int, ...]
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Stem:
    """One part of the song.

    `patch` names its sound (a drum kit for drums), `phrase` is how a prompt speaks of it. `brightness` scales
    filter corners and `decay` scales decay times, so that two songs with one patch still differ.
    """

    patch: str
    phrase: str
    notes: tuple[Note, ...]
    brightness: float = 1.0
    decay: float = 1.0


@dataclass(frozen=True)
class Song:
    """A composed song: everything about it is known, nothing is random any more.

    `beats_seconds` are the onsets of all quarter notes, `chords` cover the whole song, `stems` has exactly the names
    in STEM_NAMES (a part that the song does not have is a stem without notes). `mood` is one word for the brightness
    of the sounds. `prompt` is the full description. All times are in seconds from the first downbeat.
    """

    seed: int
    style: str
    tempo_bpm: int
    key: str
    mood: str
    bars: int
    beats_seconds: tuple[float, ...]
    chords: tuple[Chord, ...]
    stems: Mapping[str, Stem]
    prompt: str = ""

    @property
    def seconds(self) -> float:
        """Length in seconds: whole bars of four quarter notes."""
        return self.bars * 4 * 60.0 / self.tempo_bpm

    def to_midi(self) -> PrettyMIDI:
        """The song as a PrettyMIDI object with one instrument per stem that has notes (extra `[music]`)."""
        from lmdm_adapter.music.midi import to_midi

        return to_midi(self)

    def write_midi(self, path: str | Path) -> None:
        """Write the song as a MIDI file (extra `[music]`)."""
        self.to_midi().write(str(path))
