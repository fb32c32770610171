"""The tempo grid: borders that never drift, changes in mid-stream, and tempi from outside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.grid import TempoGrid
from lmdm_adapter.session.tempo import PULSES_PER_BEAT, Beat, ExternalClock, TapTempo

RATE_HZ = 44100 / 2048
ROUNDING = 1e-6


def borders(grid: TempoGrid, beats: float, count: int, first: int = 0) -> np.ndarray:
    out = [first]
    for _ in range(count):
        out.append(grid.next_border(out[-1], beats))
    return np.array(out)


def off_the_lines(grid: TempoGrid, beats: float, at: np.ndarray) -> np.ndarray:
    """Distance in frames of each border from the nearest line of the grid."""
    lines = (at - grid.origin_frames) / (beats * grid.beat_frames)
    return np.abs(lines - np.round(lines)) * beats * grid.beat_frames


@pytest.mark.parametrize(("bpm", "beats"), [(124.0, 1.0), (87.3, 0.5), (399.9, 2.0), (20.0, 0.25)])
def test_borders_stay_within_half_a_frame_for_100000_blocks(bpm: float, beats: float) -> None:
    grid = TempoGrid(bpm, RATE_HZ)
    at = borders(grid, beats, 100_000)
    length = beats * grid.beat_frames
    assert off_the_lines(grid, beats, at).max() <= 0.5 + ROUNDING
    assert set(np.diff(at)) == {math.floor(length), math.ceil(length)}, "both lengths, and no other"
    assert grid.longest_block_frames(beats) == np.diff(at).max()
    # Every line has its border: nothing was skipped, so nothing drifts.
    assert abs(at[-1] - 100_000 * length) <= 0.5 + ROUNDING
    constant = np.arange(100_001) * round(length)
    assert off_the_lines(grid, beats, constant).max() > 0.5, "blocks of one length drift away"


def test_a_tempo_may_change_at_any_border_and_the_phase_stays() -> None:
    rng, grid, at = np.random.default_rng(1), TempoGrid(124.0, RATE_HZ), 0
    for bpm in rng.uniform(60.0, 200.0, 300):
        beat = (at - grid.origin_frames) / grid.beat_frames
        grid = grid.with_tempo(float(bpm), at)
        now = (at - grid.origin_frames) / grid.beat_frames
        assert (now - beat) % grid.beats_per_bar == pytest.approx(0.0, abs=ROUNDING) or (
            (now - beat) % grid.beats_per_bar == pytest.approx(grid.beats_per_bar, abs=ROUNDING)
        )
        run = borders(grid, 1.0, 7, first=at)
        # The border was within half a frame of the old line; from the second after it all are on the new grid.
        assert off_the_lines(grid, 1.0, run[2:]).max() <= 0.5 + ROUNDING
        assert np.ptp(np.diff(run)) <= 2
        at = int(run[-1])


def test_a_grid_that_jumped_is_met_again_one_frame_at_a_time() -> None:
    grid = TempoGrid(124.0, RATE_HZ)
    moved = grid.with_beat_at(104.0 + 4.0)
    assert moved.quantised(107.0, "beat") == pytest.approx(108.0)
    run = borders(moved, 1.0, 40, first=104)
    assert set(np.diff(run)) <= {9, 10, 11, 12}
    assert off_the_lines(moved, 1.0, run[:2]).max() > 0.5 >= off_the_lines(moved, 1.0, run[12:]).max() - ROUNDING


def test_quantising_takes_the_next_beat_or_bar_and_what_lies_on_one_stays() -> None:
    grid = TempoGrid(120.0, 20.0, origin_frames=3.0)
    assert [grid.quantised(f, "beat") for f in (3.0, 3.1, 12.9, 13.0)] == pytest.approx([3.0, 13.0, 13.0, 13.0])
    assert [grid.quantised(f, "bar") for f in (3.0, 3.1, 43.0)] == pytest.approx([3.0, 43.0, 43.0])
    assert grid.quantised(5.5, "now") == 5.5
    with pytest.raises(LmdmError, match="Unknown quantum"):
        grid.quantised(0.0, "tune")


@pytest.mark.parametrize("bpm", [0.0, 1000.0, -3.0, float("nan")])
def test_impossible_tempi_are_refused_with_the_range(bpm: float) -> None:
    with pytest.raises(LmdmError, match="between 20 and 400 BPM"):
        TempoGrid(bpm, RATE_HZ)


def test_a_block_below_a_frame_is_refused() -> None:
    with pytest.raises(LmdmError, match="a block has at least 1"):
        TempoGrid(400.0, RATE_HZ).next_border(0, 1 / 16)


def test_the_block_length_nearest_to_the_models() -> None:
    assert TempoGrid(124.0, RATE_HZ).nearest_block_beats(10) == 1.0
    assert TempoGrid(124.0, RATE_HZ).nearest_block_beats(48) == 4.0


def test_tapping() -> None:
    tap = TapTempo()
    assert tap.tap(10.0) is None
    for at in (10.5, 11.01, 11.5, 12.0):
        beat = tap.tap(at)
    assert beat == Beat(pytest.approx(120.0, abs=3.0), 12.0)
    assert tap.tap(20.0) is None, "a pause begins anew"
    assert tap.tap(20.01) is None, "6000 BPM is a double hit"
    assert tap.tap(19.0) is None, "time does not go back"


def pulses(bpm: float, count: int, *, start: float = 0.0, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    period = 60.0 / bpm / PULSES_PER_BEAT
    return start + period * (np.arange(count) + jitter * np.random.default_rng(seed).uniform(-1, 1, count))


def test_an_external_clock_is_followed_through_jitter_and_lost_pulses() -> None:
    clock, times = ExternalClock(), pulses(124.0, 960, start=5.0, jitter=0.4)
    beats = [clock.pulse(float(t)) for i, t in enumerate(times) if i % 50 != 30]
    assert beats[10] is None and clock.jumps == 0
    late = beats[-1]
    period = 60.0 / 124.0
    assert late is not None and late.bpm == pytest.approx(124.0, rel=0.005)
    phase = (late.beat_at_seconds - 5.0) / period
    assert abs(phase - round(phase)) * period < 0.005


def test_an_external_clock_that_jumps_is_met_again() -> None:
    clock = ExternalClock()
    for t in (*pulses(124.0, 200), *pulses(90.0, 200, start=60.0)):
        beat = clock.pulse(float(t))
    assert clock.jumps == 1 and beat is not None and beat.bpm == pytest.approx(90.0, rel=1e-3)
    clock.pulse(3.0)
    assert clock.jumps == 2, "time went back"
    with pytest.raises(LmdmError, match="a time in seconds"):
        clock.pulse(float("nan"))


def test_blocks_follow_an_external_clock_within_a_frame_of_their_length() -> None:
    """Session side: each beat of a jittery clock moves the grid; borders stay near the true beats."""
    clock, period, at, run = ExternalClock(), 60.0 / 124.0, 0, [0]
    grid = TempoGrid(120.0, RATE_HZ)
    for i, t in enumerate(pulses(124.0, 24 * 200, jitter=0.3)):
        beat = clock.pulse(float(t))
        if beat is not None and i % 24 == 0:
            grid = grid.with_tempo(beat.bpm, at).with_beat_at(beat.beat_at_seconds * RATE_HZ)
            at = grid.next_border(at, 1.0)
            run.append(at)
    assert set(np.diff(run)) <= {9, 10, 11, 12}
    true = np.array(run[20:]) / (period * RATE_HZ)
    assert np.abs(true - np.round(true)).max() * period * RATE_HZ < 1.0
