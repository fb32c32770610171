"""Prompts: what a song is, in words, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.music.harmony import Key, parse_key
from lmdm_adapter.music.song import STEM_NAMES, Song
from lmdm_adapter.music.style_book import STYLES

_ALIASES = {
    "deep house": "house",
    "hip hop": "boom-bap",
    "hip-hop": "boom-bap",
    "boom bap": "boom-bap",
    "punk rock": "punk",
    "dnb": "drum and bass",
    "drum & bass": "drum and bass",
    "drum'n'bass": "drum and bass",
    "retrowave": "synthwave",
}
_STYLE_WORDS = {**{name: name for name in STYLES}, **_ALIASES}
_STYLE = re.compile(r"(?<!\w)(" + "|".join(sorted(map(re.escape, _STYLE_WORDS), key=len, reverse=True)) + r")(?!\w)")
_TEMPO = re.compile(r"(?<![\w.])(\d{2,3}(?:\.\d+)?)\s*bpm\b", re.IGNORECASE)
_KEY = re.compile(r"(?<!\w)([A-Ga-g])(#|b|[\s-]sharp|[\s-]flat)?\s*(major|minor|maj|min)\b(?!\s+(?:key|mode))", re.I)
_ACCIDENTALS = {"sharp": "#", "flat": "b"}


@dataclass(frozen=True)
class PromptFacts:
    """What a prompt says: tempo, key in its usual spelling ("A minor") and style; None where it says nothing."""

    tempo_bpm: float | None = None
    key: str | None = None
    style: str | None = None


def parse_prompt(text: str) -> PromptFacts:
    """Read tempo ("124 BPM"), key ("A minor", "f sharp minor", "Bb maj") and style (with a few aliases) from a prompt.

    The first mention of each counts. Words that mean nothing here are skipped.
    """
    tempo, key, style = _TEMPO.search(text), _KEY.search(text), _STYLE.search(text.lower())
    return PromptFacts(
        tempo_bpm=float(tempo[1]) if tempo else None,
        key=_key_name(*key.groups()) if key else None,
        style=_STYLE_WORDS[style[1]] if style else None,
    )


def _key_name(letter: str, accidental: str | None, mode: str) -> str:
    sign = (accidental or "").strip(" -").lower()
    mode = {"maj": "major", "min": "minor"}.get(mode.lower(), mode.lower())
    tonic: Key = parse_key(f"{letter.upper()}{_ACCIDENTALS.get(sign, sign)} {mode}")
    return tonic.name


def describe(
    song: Song,
    rng: np.random.Generator | None = None,
    *,
    start_seconds: float = 0.0,
    seconds: float | None = None,
) -> str:
    """A prompt for the song, or for the part of it that begins at `start_seconds` and lasts `seconds`.

    Without `rng` it is the full description: "124 BPM, A minor, house, four-on-the-floor drums, sub bass, warm pad".
    With `rng` the form, the order and what is left out vary, as people's prompts do. Only stems that sound in the
    part are named, and everything that is said is true.
    """
    end_seconds = song.seconds if seconds is None else start_seconds + seconds
    phrases = [
        stem.phrase
        for stem in (song.stems[name] for name in STEM_NAMES)
        if any(note.start_seconds < end_seconds and note.end_seconds > start_seconds for note in stem.notes)
    ]
    if rng is None:
        return ", ".join([f"{song.tempo_bpm} BPM", song.key, song.style, *phrases])
    return _varied(song, phrases, rng)


def _spelled(key: str, rng: np.random.Generator) -> str:
    """The key as it is, or with its sharp or flat in words."""
    tonic, mode = key.split()
    words = {"#": " sharp", "b": " flat"}
    return f"{tonic[0]}{words[tonic[1]]} {mode}" if len(tonic) == 2 and rng.random() < 0.3 else key


def _varied(song: Song, phrases: list[str], rng: np.random.Generator) -> str:
    tempo, key, style = f"{song.tempo_bpm} BPM", _spelled(song.key, rng), song.style
    moody = f"{song.mood} {style}"
    kept = [phrase for phrase in phrases if rng.random() < 0.7]
    listed = [tempo, key, style if rng.random() < 0.6 else moody]
    shuffled = [*listed[: 2 + int(rng.random() < 0.7)], *kept]
    rng.shuffle(shuffled)
    forms = (
        f"{tempo} {style} in {key}",
        f"{tempo} {moody} in {key}",
        f"{moody}, {tempo}",
        f"{style}, {tempo}, {key}",
        ", ".join([f"{style} in {key}", tempo, *kept]),
        ", ".join([f"{tempo} {style} in {key}", *kept]),
        ", ".join([*listed, *phrases]),
        ", ".join([tempo, key, *phrases]),
        ", ".join(shuffled),
        ", ".join([moody, *kept]),
    )
    shares = np.array([4, 2, 3, 2, 2, 3, 4, 2, 3, 1], dtype=np.float64)
    return forms[int(rng.choice(len(forms), p=shares / shares.sum()))]
