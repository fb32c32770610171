"""The tempo estimate: patterns of known tempo, rendered songs, and sounds without a tempo."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.baselines import frame_shuffled
from lmdm_adapter.evaluation.tempo import estimate_tempo, tempo_matches, tempo_within, within
from lmdm_adapter.music import HELD_OUT_SEEDS, compose, mix, render

RATE = 8000


def clicks(bpm: float, seconds: float = 16.0) -> Audio:
    """Loud clicks on the beats, soft ones between them."""
    rng = np.random.default_rng(0)
    burst = rng.standard_normal(160) * np.linspace(1.0, 0.0, 160)
    sound = np.zeros(round(seconds * RATE) + 200)
    for index, time in enumerate(np.arange(0.0, seconds, 30.0 / bpm)):
        start = round(time * RATE)
        sound[start : start + 160] += (0.5 if index % 2 == 0 else 0.05) * burst
    return Audio(sound[None].astype(np.float32), RATE)


def song(style: str, tempo_bpm: int) -> Audio:
    """A rendered held-out song."""
    return mix(render(compose(HELD_OUT_SEEDS[7], style=style, tempo_bpm=tempo_bpm, seconds=24.0), RATE))


@pytest.mark.parametrize("bpm", [70, 83.5, 92, 110, 124, 139, 160, 174, 180])
def test_clicks_have_their_tempo(bpm):
    assert tempo_within(bpm, clicks(bpm), tolerance=0.01)


@pytest.mark.parametrize(
    ("style", "bpm"), [("house", 124), ("techno", 135), ("boom-bap", 90), ("punk", 160), ("funk", 104)]
)
def test_rendered_songs_have_their_tempo(style, bpm):
    assert tempo_within(bpm, song(style, bpm))


def test_another_tempo_is_a_miss():
    sound = clicks(124)
    assert not tempo_within(112, sound) and not tempo_within(62, sound) and not tempo_within(130, sound)


def test_level_and_rate_do_not_matter():
    sound = clicks(101)
    twice = Audio(np.repeat(sound.samples, 2, axis=1), 2 * RATE)
    assert estimate_tempo(Audio(0.3 * sound.samples, RATE)) == pytest.approx(101, rel=0.01)
    assert estimate_tempo(twice) == pytest.approx(101, rel=0.01)


def test_shuffled_songs_lose_their_tempo():
    tempos = list(range(118, 128, 2))
    heard = [
        estimate_tempo(frame_shuffled(song("house", bpm), np.random.default_rng(bpm), frame_samples=370))
        for bpm in tempos
    ]
    assert tempo_matches(tempos, heard).matches <= 0.4


def test_within_counts_octaves_only_when_asked():
    assert within(100, 104) and not within(100, 104.1)
    assert not within(174, 87) and within(174, 87, octaves=True) and within(80, 160, octaves=True)
    assert not within(100, 150, octaves=True)


def test_shares_and_chance():
    matches = tempo_matches([70, 100, 120, 140], [70, 100, 60, 133])
    assert (matches.matches, matches.octave_matches) == (0.5, 0.75)
    # Heard 70 is half of 140, but chance counts the prompt's own tempo only: no pair of different prompts agrees.
    assert matches.chance == 0.0
    assert tempo_matches([100, 100], [100, 100]).chance == 1.0


def test_too_little_to_hear_is_refused():
    with pytest.raises(LmdmError, match="at least 10 s"):
        estimate_tempo(clicks(120, seconds=9.0))
    with pytest.raises(LmdmError, match="pairs"):
        tempo_matches([120.0], [])
