"""The Fréchet distance: closed forms, intervals that know about streams, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.frechet import Streams, fit_projection, frechet_distance, gaussian_distance

DIMENSIONS = 64


def streams(count: int = 20, windows: int = 60, *, seed: int = 0, shift: float = 0.0, between: float = 0.0) -> Streams:
    """Normal windows; streams differ in their means by `between`."""
    rng = np.random.default_rng(seed)
    means = shift + between * rng.standard_normal((count, 1, DIMENSIONS))
    return Streams.of(list(means + rng.standard_normal((count, windows, DIMENSIONS))))


def covariance(seed: int) -> np.ndarray:
    """A full, lopsided covariance."""
    root = np.random.default_rng(seed).standard_normal((DIMENSIONS, DIMENSIONS)) / 8.0
    return root @ root.T


def test_a_set_is_at_distance_0_of_itself():
    assert frechet_distance(streams(), streams(), draws=2).value < 1e-9


def test_a_shift_counts_squared():
    mean, cov = np.zeros(DIMENSIONS), covariance(0)
    assert gaussian_distance(mean, cov, mean + 0.5, cov) == pytest.approx(0.25 * DIMENSIONS)


def test_commuting_covariances_count_by_their_deviations():
    rng = np.random.default_rng(1)
    axes, _ = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))
    a, b = rng.uniform(0.1, 3.0, (2, DIMENSIONS))
    mean = np.zeros(DIMENSIONS)
    distance = gaussian_distance(mean, (axes * a**2) @ axes.T, mean, (axes * b**2) @ axes.T)
    assert distance == pytest.approx(float(((a - b) ** 2).sum()))


def test_it_is_symmetric_and_bears_flat_covariances():
    mean, full, flat = np.zeros(DIMENSIONS), covariance(2), np.zeros((DIMENSIONS, DIMENSIONS))
    assert gaussian_distance(mean, flat, mean, full) == pytest.approx(np.trace(full))
    one, other = gaussian_distance(mean, full, mean + 1, covariance(3)), gaussian_distance(
        mean + 1, covariance(3), mean, full
    )  # fmt: skip
    assert one == pytest.approx(other) and one > DIMENSIONS


def test_streams_hold_the_gaussian_of_all_windows():
    rng = np.random.default_rng(4)
    parts = [rng.standard_normal((size, DIMENSIONS)) for size in (700, 300, 500)]
    mean, cov = Streams.of(parts).gaussian()
    np.testing.assert_allclose(mean, np.concatenate(parts).mean(axis=0))
    np.testing.assert_allclose(cov, np.cov(np.concatenate(parts), rowvar=False), atol=1e-12)
    twice, _ = Streams.of(parts).gaussian(np.array([2.0, 0.0, 0.0]))
    np.testing.assert_allclose(twice, parts[0].mean(axis=0))


def test_the_interval_holds_the_distance_and_calls_are_repeatable():
    near, far = streams(seed=1), streams(seed=2, shift=0.5)
    distance = frechet_distance(near, far, draws=40, seed=3)
    assert distance.low < distance.value < distance.high
    again = frechet_distance(near, far, draws=40, seed=3)
    assert (again.low, again.high) == (distance.low, distance.high)


def test_windows_of_one_stream_are_no_independent_evidence():
    alike, apart = (streams(seed=1, between=1.0), streams(seed=2, between=1.0)), (streams(seed=1), streams(seed=2))
    wide, narrow = (frechet_distance(*pair, draws=40) for pair in (alike, apart))
    assert wide.high - wide.low > 5.0 * (narrow.high - narrow.low)


def test_ratios_are_paired():
    far, reference = streams(seed=5, shift=0.3, between=0.5), streams(seed=6)
    distance = frechet_distance(far, reference, draws=30)
    value, low, high = distance.ratio(distance)
    assert value == low == high == pytest.approx(1.0)


def test_the_projection_standardises_and_orders_by_variance():
    rng = np.random.default_rng(7)
    hidden = rng.standard_normal((1500, 80)) * np.linspace(3.0, 0.1, 80)
    features = hidden @ rng.standard_normal((80, 100)) + 7.0
    projection = fit_projection(features)
    projected = projection(features)
    assert projected.shape == (1500, 64) and 0.9 < projection.explained <= 1.0
    np.testing.assert_allclose(projected.mean(axis=0), 0.0, atol=1e-9)
    assert (np.diff(projected.var(axis=0)) <= 1e-9).all()
    np.testing.assert_allclose(np.cov(projected, rowvar=False)[0, 1:], 0.0, atol=1e-9)


def test_too_few_windows_are_refused():
    few = streams(count=9, windows=111)
    assert few.windows == 999
    for pair in ((few, streams()), (streams(), few)):
        with pytest.raises(LmdmError, match="at least 1000 windows a side"):
            frechet_distance(*pair)
    with pytest.raises(LmdmError, match="1000 windows"):
        fit_projection(np.zeros((999, 100)))


def test_no_streams_and_nan_are_refused():
    with pytest.raises(LmdmError, match="no streams"):
        Streams.of([])
    with pytest.raises(LmdmError, match="NaN"):
        Streams.of([np.full((5, 3), np.nan)])
