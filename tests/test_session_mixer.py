"""The mixer against a slow, plain account of the same, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmdm_adapter.session.events import EventQueue
from lmdm_adapter.session.mixer import RAMP_SECONDS, Mixer

RATE, SAMPLES = 4000, 3000
RAMP = round(RAMP_SECONDS * RATE)


def sounds(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (SAMPLES, 2)).astype(np.float32)


def mixed(
    turns: list[tuple[int, str, Any]], *, chunks: tuple[int, ...] = (97,), **values: Any
) -> tuple[np.ndarray, list]:
    """What comes out, and the records of the turns."""
    events, notes = EventQueue(), []
    for stamp, name, value in turns:
        events.post(name, value, stamp=stamp)
    mixer = Mixer(events, channels=2, sample_rate=RATE, announce=notes.append, values=values)
    out, dry, done, number = sounds(1), sounds(2), 0, 0
    while done < SAMPLES:
        piece = slice(done, done + chunks[number % len(chunks)])
        mixer.process(out[piece], dry[piece], first_sample=done)
        done, number = piece.stop, number + 1
    return out, notes


def test_with_its_defaults_every_bit_stays() -> None:
    wet = sounds(1)
    wet[7] = -0.0
    mixer = Mixer(EventQueue(), channels=2, sample_rate=RATE, announce=print)
    out = wet.copy()
    mixer.process(out, np.full_like(out, np.nan), first_sample=0)
    assert np.array_equal(out.view(np.uint32), wet.view(np.uint32))


TURNS = [
    (100, "gain_db", -6.0), (110, "gain_db", 3.0), (500, "mix", 0.25), (700, "feedback", 0.6),
    (900, "delay_seconds", 0.02), (905, "delay_seconds", 0.1), (1600, "feedback", 0.0), (2000, "gain_db", -120.0),
    (2500, "gain_db", 0.0),
]  # fmt: skip


def test_any_chunking_gives_the_same_bits() -> None:
    start = {"delay_seconds": 0.05, "feedback": 0.3}
    whole, notes = mixed(TURNS, chunks=(SAMPLES,), **start)
    for chunks in ((1,), (97,), (64, 1, 511), (1024, 3)):
        other, noted = mixed(TURNS, chunks=chunks, **start)
        assert np.array_equal(whole.view(np.uint32), other.view(np.uint32)) and noted == notes
    assert not np.array_equal(whole, mixed(TURNS[:-1], **start)[0])


@pytest.mark.parametrize(("name", "value"), [("gain_db", -12.0), ("mix", 0.5), ("feedback", 0.7)])
def test_a_turn_begins_at_its_very_sample_and_moves_in_a_straight_line(name: str, value: float) -> None:
    still, _ = mixed([])
    out, notes = mixed([(1234, name, value)], delay_seconds=0.05)
    assert np.flatnonzero((out != still).any(axis=1))[0] == 1234
    assert notes == [{"kind": "event", "number": 0, "name": name, "value": value, "stamp": 1234, "effect": 1234}]
    if name == "gain_db":
        factor = (out / still)[1234 : 1234 + RAMP + 5, 0]
        line = 1.0 + (10 ** (-12 / 20) - 1.0) * np.clip((np.arange(RAMP + 5) + 1) / RAMP, 0, 1)
        assert factor == pytest.approx(line, abs=1e-5)


def test_the_echo_is_what_was_played_one_delay_ago() -> None:
    out, _ = mixed([], delay_seconds=0.05, feedback=0.5)
    wet, delay = sounds(1).astype(np.float64), round(0.05 * RATE)
    for n in range(delay, SAMPLES):
        wet[n] += 0.5 * wet[n - delay]
    assert np.abs(out - wet).max() < 1e-6 and np.abs(out - sounds(1)).max() > 0.1


def test_dry_and_wet_lie_beside_each_other() -> None:
    out, _ = mixed([], mix=0.25)
    assert np.abs(out - (0.75 * sounds(2) + 0.25 * sounds(1))).max() < 1e-6


def test_a_delay_that_changes_within_a_fade_waits_for_it_and_the_log_says_so() -> None:
    _, notes = mixed(TURNS, feedback=0.3)
    changes = [(n["stamp"], n["effect"]) for n in notes if n["name"] == "delay_seconds"]
    assert changes == [(900, 900), (905, 900 + RAMP)]


def test_a_turn_in_the_past_takes_effect_now() -> None:
    events, notes = EventQueue(), []
    mixer = Mixer(events, channels=2, sample_rate=RATE, announce=notes.append)
    events.post("gain_db", -6.0, stamp=3)
    mixer.process(sounds(1)[:50], sounds(2)[:50], first_sample=1000)
    assert (notes[0]["stamp"], notes[0]["effect"]) == (3, 1000)
