"""Procedural multitrack songs with known tempo, key, chords, beats and stems."""

from lmdm_adapter.music.compose import HELD_OUT_SEEDS, TRAIN_SEEDS, compose
from lmdm_adapter.music.fluidsynth import render_fluidsynth
from lmdm_adapter.music.harmony import KEYS
from lmdm_adapter.music.prompts import PromptFacts, describe, parse_prompt
from lmdm_adapter.music.render import mix, render
from lmdm_adapter.music.song import STEM_NAMES, Chord, Note, Song, Stem
from lmdm_adapter.music.style_book import STYLES

__all__ = [
    "HELD_OUT_SEEDS",
    "KEYS",
    "STEM_NAMES",
    "STYLES",
    "TRAIN_SEEDS",
    "Chord",
    "Note",
    "PromptFacts",
    "Song",
    "Stem",
    "compose",
    "describe",
    "mix",
    "parse_prompt",
    "render",
    "render_fluidsynth",
]
