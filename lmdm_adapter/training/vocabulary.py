"""The words that a model trained on procedural songs knows."""

from __future__ import annotations

from collections.abc import Iterator

from lmdm_adapter.music import KEYS
from lmdm_adapter.music.style_book import STYLES
from lmdm_adapter.music.styles import MOODS
from lmdm_adapter.network.words import split_words

LITTLE_WORDS = frozenset({"the", "on", "and", "a", "an", "in", "of"})
"""Never words of their own: "a dusty beat" must not speak of the key of A."""


def song_vocabulary() -> tuple[str, ...]:
    """Styles and keys as phrases, moods and instruments word by word, sorted."""
    phrases = {*STYLES, *MOODS, *(spelling for key in KEYS for spelling in key_spellings(key))}
    words = {word for phrase in _part_phrases() for word in split_words(phrase)} - LITTLE_WORDS
    joined = {" ".join(split_words(phrase)) for phrase in phrases}
    return tuple(sorted(joined | words))


def key_spellings(key: str) -> tuple[str, ...]:
    """A key with its accidental as a sign and in words: "F# minor", "F sharp minor"."""
    tonic, mode = key.split()
    signs = {"#": " sharp", "b": " flat"}
    return (key, f"{tonic[0]}{signs[tonic[1]]} {mode}") if len(tonic) == 2 else (key,)


def _part_phrases() -> Iterator[str]:
    for style in STYLES.values():
        for part in (*style.grooves, *style.basses, *style.chords, *style.leads):
            if part is not None:
                yield part.phrase
