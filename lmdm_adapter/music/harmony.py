"""Keys, scales and chords as pitch classes (0 = C)."""

from __future__ import annotations

from dataclasses import dataclass

from lmdm_adapter.errors import LmdmError

MAJOR_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
KEYS = tuple(f"{tonic} major" for tonic in MAJOR_TONICS) + tuple(f"{tonic} minor" for tonic in MINOR_TONICS)

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_SUFFIXES = {
    (0, 4, 7): "",
    (0, 3, 7): "m",
    (0, 3, 6): "dim",
    (0, 7): "5",
    (0, 4, 7, 11): "maj7",
    (0, 4, 7, 10): "7",
    (0, 3, 7, 10): "m7",
    (0, 3, 6, 10): "m7b5",
}


@dataclass(frozen=True)
class Key:
    """A tonic pitch class and a mode ("major" or "minor")."""

    tonic: int
    mode: str

    @property
    def name(self) -> str:
        """The usual spelling, one of KEYS: "A minor", "Db major"."""
        tonics = MAJOR_TONICS if self.mode == "major" else MINOR_TONICS
        return f"{tonics[self.tonic]} {self.mode}"

    @property
    def scale(self) -> tuple[int, ...]:
        """The seven pitch classes, tonic first (natural minor)."""
        return tuple((self.tonic + interval) % 12 for interval in _SCALES[self.mode])

    def chord_tones(self, degree: int, size: int) -> tuple[int, ...]:
        """Pitch classes of the chord on scale `degree` (0..6), root first.

        `size` is 2 for a power chord, 3 for a triad, 4 for a seventh chord.
        """
        if size == 2:
            return self.scale[degree % 7], (self.scale[degree % 7] + 7) % 12
        return tuple(self.scale[(degree + 2 * i) % 7] for i in range(size))


def parse_key(name: str) -> Key:
    """Read "A minor", "f# minor" or "Gb major"; any enharmonic spelling is accepted.

    Raises LmdmError when the name is not a tonic followed by "major" or "minor".
    """
    words = name.split()
    if len(words) == 2 and words[1].lower() in _SCALES:
        letter, accidental = words[0][:1].upper(), words[0][1:]
        if letter in _LETTERS and accidental in _ACCIDENTALS:
            return Key((_LETTERS[letter] + _ACCIDENTALS[accidental]) % 12, words[1].lower())
    raise LmdmError(f'Unknown key {name!r}: write a tonic and a mode, for example "A minor" or "F# major".')


def chord_name(tones: tuple[int, ...], key: Key) -> str:
    """A lead-sheet name such as "Am7" for pitch classes with the root, a note of the key's scale, first."""
    intervals = tuple((tone - tones[0]) % 12 for tone in tones)
    degree = key.scale.index(tones[0])
    letter = "CDEFGAB"[("CDEFGAB".index(key.name[0]) + degree) % 7]
    shift = (tones[0] - _LETTERS[letter] + 6) % 12 - 6
    return letter + ("#" * shift if shift > 0 else "b" * -shift) + _SUFFIXES.get(intervals, "")


def nearest_pitch(tone: int, centre: int) -> int:
    """The MIDI pitch of pitch class `tone` in the octave [centre - 6, centre + 6)."""
    low = centre - 6
    return low + (tone - low) % 12
