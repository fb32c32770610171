"""A part of a procedural song as the music, and what the other parts play as its accompaniment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import STEM_NAMES, Song

WHOLE = "mix"
"""The music is the whole song, which nobody accompanies: a model that jams learns to play alone beside it."""


@dataclass(frozen=True)
class Target:
    """Stems that are the music, and those that accompany them: "bass", "drums+bass<chords".

    Plus signs join stems; those after `<` accompany, and without it all others do. Raises LmdmError for stems that
    songs do not have or that are named twice, and when nobody would accompany.
    """

    name: str

    def __post_init__(self) -> None:
        named = (*self.stems, *self.others)
        unknown = [stem for stem in named if stem not in STEM_NAMES]
        if unknown:
            raise LmdmError(f"Songs have the stems {', '.join(STEM_NAMES)}, not {unknown[0]!r} (in {self.name!r}).")
        if len(set(named)) < len(named) or not self.others:
            raise LmdmError(f"The stems {self.name!r} must differ, and leave one to accompany them.")

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that are the music."""
        return tuple(self.name.partition("<")[0].split("+"))

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the stems that accompany them."""
        _, chosen, names = self.name.partition("<")
        return tuple(names.split("+")) if chosen else tuple(stem for stem in STEM_NAMES if stem not in self.stems)

    def sounds_in(self, song: Song) -> bool:
        """Whether the song has notes both in the music and in its accompaniment."""
        return all(any(song.stems[name].notes for name in names) for names in (self.stems, self.others))


def targets_of(names: Sequence[str]) -> list[Target | None]:
    """The targets of these names, None for "mix" and for no names at all: the whole song.

    Raises LmdmError as `Target` does, and for a name that is given twice.
    """
    if len(set(names)) < len(names):
        raise LmdmError(f"Every part is trained once, got {', '.join(names)}.")
    return [None if name == WHOLE else Target(name) for name in names] or [None]


def only(song: Song, stems: Sequence[str]) -> Song:
    """The song as if its other stems had no notes, so that a prompt speaks of these alone."""
    left = {name: stem if name in stems else replace(stem, notes=()) for name, stem in song.stems.items()}
    return replace(song, stems=left)
