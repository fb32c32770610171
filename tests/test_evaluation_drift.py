"""Drift: a planted slope is found and its interval covers it; what stands still has none."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.bootstrap import interval, stream_draws
from lmdm_adapter.evaluation.drift import drift, frechet_curve, kernel_curve, mean_curve
from lmdm_adapter.evaluation.kernel_distance import KernelReference

STREAMS, WINDOWS = 16, 20
MINUTES = (np.arange(WINDOWS) + 0.5) / 2.0


def wandering(seed: int, *, slope: float = 0.0) -> np.ndarray:
    """(windows, streams): a common slope, a level and a slow walk of each stream's own, and noise."""
    rng = np.random.default_rng(seed)
    walks = 0.2 * rng.standard_normal((WINDOWS, STREAMS)).cumsum(axis=0)
    level, noise = rng.standard_normal(STREAMS), 0.3 * rng.standard_normal((WINDOWS, STREAMS))
    return slope * MINUTES[:, None] + level + walks + noise


def test_a_planted_slope_is_covered_as_often_as_promised():
    found = [drift(mean_curve(wandering(seed, slope=0.5)), MINUTES, streams=STREAMS).slope for seed in range(200)]
    covered = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert 0.90 <= covered <= 0.99
    assert np.mean([one.low > 0.0 for one in found]) > 0.95
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.02)


def test_what_stands_still_has_no_slope():
    found = [drift(mean_curve(wandering(seed)), MINUTES, streams=STREAMS).slope for seed in range(200)]
    assert np.mean([one.low <= 0.0 <= one.high for one in found]) >= 0.90


def test_more_windows_of_the_same_streams_make_nobody_surer():
    """Windows repeated ten times over are no new streams: the interval must not shrink."""
    values = wandering(0)
    once = drift(mean_curve(values), MINUTES, streams=STREAMS).slope
    often = drift(mean_curve(values.repeat(10, axis=0)), MINUTES.repeat(10), streams=STREAMS).slope
    assert often.high - often.low == pytest.approx(once.high - once.low)


def test_models_that_played_the_same_prompts_are_compared_in_pairs():
    common = wandering(1)
    one, other = (drift(mean_curve(common + plus * MINUTES[:, None]), MINUTES, streams=STREAMS) for plus in (0.3, 0.0))
    steeper = one.minus(other)
    assert steeper.value == pytest.approx(0.3) == pytest.approx(steeper.low) == pytest.approx(steeper.high)


def features(seed: int, *, moving: float) -> list[list[np.ndarray]]:
    """Features (8, 3) by window and stream, whose mean moves away by `moving` a minute."""
    rng = np.random.default_rng(seed)
    return [[moving * minute + rng.standard_normal((8, 3)) for _ in range(STREAMS)] for minute in MINUTES]


@pytest.mark.parametrize("name", ["kernel", "frechet"])
def test_distances_drift_as_features_move_away(name):
    reference = [np.random.default_rng(100 + row).standard_normal((8, 3)) for row in range(20)]
    slopes = []
    for moving in (0.0, 0.2):
        windows = features(0, moving=moving)
        kernel = KernelReference.of(reference)
        curve = kernel_curve(windows, kernel) if name == "kernel" else frechet_curve(windows, reference)
        slopes.append(drift(curve, MINUTES, streams=STREAMS, draws=40).slope)
    still, moved = slopes
    assert still.low < 0.0 < still.high and moved.low > 0.1


def test_intervals_of_few_streams_are_wider_than_plain_quantiles():
    drawn = np.random.default_rng(0).standard_normal(20_000)
    low, high = interval(drawn, 16)
    assert (low, high) == pytest.approx((-2.2, 2.2), abs=0.1)
    low, high = interval(drawn, 10_000)
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=0.1)


def test_draws_are_repeatable_and_sides_differ():
    one = stream_draws(16, draws=50, seed=3)
    assert (one == stream_draws(16, draws=50, seed=3)).all() and (one.sum(axis=1) == 16).all()
    assert (one != stream_draws(16, draws=50, seed=3, side=1)).any()


def test_one_stream_or_one_window_is_refused():
    with pytest.raises(LmdmError, match="at least 2 streams"):
        drift(mean_curve(wandering(0)[:, :1]), MINUTES, streams=1)
    with pytest.raises(LmdmError, match="at least 2 windows"):
        drift(mean_curve(wandering(0)[:1]), MINUTES[:1], streams=STREAMS)
