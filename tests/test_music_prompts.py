"""Prompts tell the truth, and can be read back."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.music import KEYS, STYLES, PromptFacts, compose, describe, parse_prompt


@pytest.mark.parametrize("seed", range(40))
def test_full_prompt_round_trip(seed):
    song = compose(seed, seconds=4.0)
    assert parse_prompt(song.prompt) == PromptFacts(song.tempo_bpm, song.key, song.style)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_round_trips(key):
    assert parse_prompt(compose(1, key=key, seconds=4.0).prompt).key == key


def test_varied_prompts_say_only_true_things_and_vary():
    prompts = set()
    for seed in range(30):
        song = compose(seed, seconds=4.0)
        for draw in range(20):
            prompt = describe(song, np.random.default_rng([seed, draw]))
            facts = parse_prompt(prompt)
            assert facts.tempo_bpm in (None, song.tempo_bpm) and facts.key in (None, song.key), prompt
            assert facts.style in (None, song.style), prompt
            assert facts != PromptFacts(), prompt
            prompts.add(prompt)
    assert len(prompts) > 300


def test_typical_form_occurs():
    song = compose(2, style="house", tempo_bpm=124, key="A minor", seconds=4.0)
    drawn = [describe(song, np.random.default_rng(draw)) for draw in range(200)]
    assert drawn.count("124 BPM house in A minor") > 10


def test_same_generator_same_prompt():
    song = compose(2)
    assert describe(song, np.random.default_rng(5)) == describe(song, np.random.default_rng(5))


def test_a_part_names_only_the_stems_that_sound_in_it():
    songs = [compose(seed, seconds=30.0) for seed in range(30)]
    silent = 0
    for song in songs:
        prompt = describe(song, start_seconds=0.5, seconds=2.0)
        for stem in song.stems.values():
            sounds = any(n.start_seconds < 2.5 and n.end_seconds > 0.5 for n in stem.notes)
            assert (f", {stem.phrase}" in prompt + ",") == sounds
            silent += bool(stem.notes) and not sounds
    assert silent > 0, "the law is empty when all stems always play"


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("124 BPM house in A minor", PromptFacts(124.0, "A minor", "house")),
        ("warm house, 124 BPM", PromptFacts(124.0, None, "house")),
        ("dusty boom-bap, 92 bpm", PromptFacts(92.0, None, "boom-bap")),
        ("124 BPM, A minor, punk drums, slap bass", PromptFacts(124.0, "A minor", "punk")),
        ("DnB, f# min, 174.5bpm", PromptFacts(174.5, "F# minor", "drum and bass")),
        ("G flat major synthwave", PromptFacts(None, "F# major", "synthwave")),
        ("drum and bass in Bb major", PromptFacts(None, "Bb major", "drum and bass")),
        ("a minor key, warehouse, 1000 BPM", PromptFacts()),
        ("string bridge", PromptFacts()),
        ("", PromptFacts()),
    ],
)
def test_prompts_as_people_write_them(text, facts):
    assert parse_prompt(text) == facts


def test_no_phrase_of_one_style_names_another():
    for style in STYLES.values():
        for part in (*style.grooves, *style.basses, *style.chords, *filter(None, style.leads)):
            assert parse_prompt(part.phrase).style in (None, style.name), part.phrase
