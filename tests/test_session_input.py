"""The live input: it reaches the mode sample by sample, and whatever is wrong with it has a defined end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.live_input import LiveInput
from lmdm_adapter.session.modes import EchoMode
from lmdm_adapter.session.simulation import ComputeTimes, Device
from tests.session_makers import FACTS, noise_engine, noise_simulation

RATE = FACTS.sample_rate


def heard(first: int, count: int) -> np.ndarray:
    """Input that is its own index."""
    index = np.arange(first, first + count, dtype=np.float32)
    return np.stack([index, -index], axis=1) / 2**20


def live_input(**source: Any) -> tuple[LiveInput, list[dict[str, Any]]]:
    notes: list[dict[str, Any]] = []
    return LiveInput(notes.append, sample_rate=RATE, channels=2, **source), notes


def troubles(notes: list[dict[str, Any]]) -> list[str]:
    return [note["what"] for note in notes]


def test_the_input_comes_back_after_the_echo_modes_delay_through_a_hold_as_well() -> None:
    delay, parts = 40, []
    simulation = noise_simulation(
        mode=EchoMode(channels=2, frame_samples=FACTS.frame_samples, delay_frames=delay),
        times=ComputeTimes(share=0.1, stall_every_blocks=40, stall_seconds=0.3),
        device=Device((FACTS.frame_samples,), hears=heard, source=(RATE, 2)),
        hear=lambda samples, records: parts.append(samples.copy()),
    )
    simulation.run(6.0)
    out = np.concatenate(parts)
    assert simulation.engine.player.holds == 1
    expected = heard(-delay * FACTS.frame_samples, len(out))
    same = (out == expected).all(axis=1)
    # Apart from the start, the hold, and what was made ahead of it, every sample is the input's, 40 frames late.
    assert same[4000 : 4 * RATE // 2].all() and same[-8000:].all() and not same.all()


def test_every_sample_reaches_the_mode_once_and_in_order_even_one_by_one() -> None:
    feed, notes = live_input()
    parts, sent = [], 0
    for count in (1, 1, 1, 500, 1, 63) * 20:
        feed.hear(heard(sent, count))
        sent += count
        parts.append(feed.drained())
    assert np.array_equal(np.concatenate(parts), heard(0, sent)) and not notes


def test_nan_becomes_silence_and_is_counted_and_told_once() -> None:
    feed, notes = live_input()
    bad = heard(0, 10)
    bad[3, 0] = np.nan
    bad[4, 1] = np.inf
    for chunk in (bad, bad, heard(20, 10)):
        feed.hear(chunk)
    out = feed.drained()
    assert np.isfinite(out).all() and out[3, 0] == 0.0 and feed.nan_samples == 4
    assert troubles(notes) == ["nan", "nan over"] and notes[0]["samples"] == 2
    assert np.isnan(bad[3, 0]), "the caller's chunk stays as it was"


def test_a_hole_in_the_counting_is_silence_and_what_came_twice_is_dropped() -> None:
    feed, notes = live_input()
    feed.hear(heard(0, 100), first_sample=0)
    feed.hear(heard(150, 100), first_sample=150)
    feed.hear(heard(200, 100), first_sample=200)
    feed.hear(heard(300, 100), first_sample=300)
    out = feed.drained()
    expected = heard(0, 400)
    expected[100:150] = 0.0
    assert np.array_equal(out, expected) and troubles(notes) == ["gap", "gap over"]


@pytest.mark.parametrize("jump", [10**9, -20_000])
def test_a_clock_that_was_set_is_skipped_over(jump: int) -> None:
    feed, notes = live_input()
    feed.hear(heard(0, 30_000), first_sample=0)
    feed.hear(heard(30_000, 50), first_sample=30_000 + jump)
    feed.hear(heard(30_050, 50), first_sample=30_050 + jump)
    assert np.array_equal(feed.drained(), heard(0, 30_100)) and troubles(notes) == ["jump", "jump over"]


def test_an_input_that_stops_is_silence_and_told_once() -> None:
    feed, notes = live_input()
    out = np.ones((400, 2), np.float32)
    feed.hear(heard(1, 400))
    feed.dry(out)
    assert np.array_equal(out, heard(1, 400))
    for _ in range(30):
        feed.dry(out)
    assert not out.any() and feed.missed_samples == 30 * 400 and troubles(notes) == ["stopped"]
    feed.hear(heard(1, 400))
    feed.dry(out)
    assert out.any() and troubles(notes) == ["stopped", "stopped over"]


def test_dry_sound_that_lags_too_far_is_cut_short() -> None:
    feed, _ = live_input()
    feed.hear(heard(0, RATE))
    out = np.ones((100, 2), np.float32)
    feed.dry(out)
    assert np.array_equal(out, heard(RATE - 100, 100))


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (11_025, 1), (8000, 6)])
def test_other_rates_and_channels_are_fitted_and_stay_in_place(rate: int, channels: int) -> None:
    feed, _ = live_input(source_rate=rate, source_channels=channels)
    seconds = np.arange(2 * rate) / rate
    wave = np.sin(2 * np.pi * 220 * seconds).astype(np.float32)
    for start in range(0, len(wave), 160):
        feed.hear(np.repeat(wave[start : start + 160, None], channels, axis=1))
    out = feed.drained()
    assert 1.85 * RATE < len(out) <= 2 * RATE
    expected = np.sin(2 * np.pi * 220 * np.arange(len(out)) / RATE)
    assert np.abs(out[500:, :] - expected[500:, None]).max() < 1e-2


@pytest.mark.parametrize(
    ("source", "sentence"), [({"source_rate": 1}, "cannot be resampled"), ({"source_channels": 0}, "cannot be made")]
)
def test_sources_that_cannot_be_fitted_are_refused(source: dict[str, int], sentence: str) -> None:
    notes: list[dict[str, Any]] = []
    if source.get("source_channels") == 0:
        pytest.raises(LmdmError, LiveInput, notes.append, sample_rate=RATE, channels=4, source_channels=3)
        return
    with pytest.raises(LmdmError, match=sentence):
        live_input(**source)


def test_a_chunk_of_another_shape_is_refused() -> None:
    feed, _ = live_input()
    with pytest.raises(LmdmError, match=r"2 channels, got a chunk of shape \(5, 3\)"):
        feed.hear(np.zeros((5, 3), np.float32))


def test_an_input_faster_than_the_music_is_dropped_and_told() -> None:
    feed, notes = live_input()
    for _ in range(12):
        feed.hear(heard(0, RATE))
    assert troubles(notes) == ["overrun"] and len(feed.drained()) == 10 * RATE


def test_dry_sound_is_mixed_at_its_sample() -> None:
    engine = noise_engine(source=(RATE, 2), values={"prompt": "a", "mix": 0.0})
    while engine.produce():
        continue
    engine.hear(heard(0, 500))
    engine.pull(out := np.ones((500, 2), np.float32))
    assert np.array_equal(out, heard(0, 500))
