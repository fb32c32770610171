"""The kernel distance: zero on average between equals, growing with difference, and honest about streams."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.kernel_distance import KernelReference, kernel_distance, polynomial_sums

WIDTH = 6


def streams(count: int, *, seed: int, shift: float = 0.0, alike: float = 1.0, windows: int = 6) -> list[np.ndarray]:
    """Streams whose windows lie around a centre of their own, `alike` apart."""
    rng = np.random.default_rng(seed)
    centres = alike * rng.standard_normal((count, 1, WIDTH))
    return list(shift + centres + rng.standard_normal((count, windows, WIDTH)))


def value(seed: int, **settings: float) -> float:
    """The distance of eight streams from forty others."""
    reference = KernelReference.of(streams(40, seed=1000 + seed))
    return kernel_distance(streams(8, seed=seed, **settings), reference, draws=2).value


def test_equal_distributions_are_zero_apart_on_average():
    """With pairs of windows of one stream it would be 0.4 on average, ten standard errors away from zero."""
    values = np.array([value(seed) for seed in range(60)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 3.0 * error and error < 0.12
    assert (values < 0.0).any()


def test_it_grows_with_difference():
    values = [np.mean([value(seed, shift=shift) for seed in range(20)]) for shift in (0.0, 1.0, 2.0, 3.0)]
    assert values == sorted(values) and values[1] > 5.0 * abs(values[0])


def test_spread_counts_too_and_no_axis_decides_alone():
    assert value(0, alike=3.0) > 10.0 * abs(value(0))
    wide = np.array([1.0, 1e4, 1.0, 1.0, 1.0, 1.0])
    one, other = streams(8, seed=3, shift=1.0), streams(12, seed=4)
    scaled = kernel_distance([each * wide for each in one], KernelReference.of([each * wide for each in other]))
    assert scaled.value == pytest.approx(kernel_distance(one, KernelReference.of(other)).value)


def test_sums_are_those_of_all_pairs():
    one, other = streams(2, seed=5, windows=3), [*streams(2, seed=6, windows=4), *streams(1, seed=7, windows=2)]
    pairs = [[sum((x @ y / WIDTH + 1.0) ** 3 for x in a for y in b) for b in other] for a in one]
    np.testing.assert_allclose(polynomial_sums(one, other), pairs)


def test_the_interval_covers_what_streams_leave_open():
    """The distance of 400 streams lies in the interval of sixteen, nine times of ten or more."""
    reference = KernelReference.of(streams(60, seed=8))
    truth = kernel_distance(streams(400, seed=9, shift=1.0), reference, draws=2).value
    found = [kernel_distance(streams(16, seed=seed, shift=1.0), reference, draws=200) for seed in range(10, 30)]
    inside = np.mean([one.low <= truth <= one.high for one in found])
    assert inside >= 0.85
    assert all(one.high - one.low > 0.3 for one in found)


def test_what_cannot_be_measured_is_refused():
    reference = KernelReference.of(streams(3, seed=0))
    with pytest.raises(LmdmError, match="at least 2 streams"):
        kernel_distance(streams(1, seed=0), reference)
    with pytest.raises(LmdmError, match="the reference has fewer"):
        KernelReference.of([])
    with pytest.raises(LmdmError, match="NaN"):
        reference.sums_of([np.full((3, WIDTH), np.nan)] * 2)
