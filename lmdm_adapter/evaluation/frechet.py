"""The Fréchet distance between two sets of windows, and how sure one can be of it.

Features are standardised by the training songs and projected on the 64 principal axes of the training songs' windows;
nothing of the audio that is judged enters that projection. The distance is that of the two Gaussians with the sets'
means and covariances: |difference of means|^2 + trace(A + B - 2 (A B)^(1/2)).

Windows of one stream resemble each other, so the bootstrap draws whole streams, not windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.errors import LmdmError

AXES = 64
LEAST_WINDOWS = 1000
LEAST_DEVIATION = 1e-3
"""Features that hardly differ between training songs are not blown up: deviations below this count as this."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Standardisation and principal axes: `mean` and `scale` are (features,), `axes` (features, 64)."""

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    explained: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(windows, features) to (windows, 64) float64."""
        return ((features - self.mean) / self.scale) @ self.axes


@dataclass(frozen=True, eq=False)
class Streams:
    """Windows by stream, as sums that are all a Gaussian needs.

    `counts` (k,), `sums` (k, d) and `squares` (k, d, d) of `k` streams; `windows` counts all windows.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(projected: Sequence[np.ndarray]) -> Streams:
        """From one array (windows, d) per stream. Raises LmdmError when there are none, or NaN among them."""
        if not projected:
            raise LmdmError("There are no streams to measure: give at least one.")
        if not all(np.isfinite(stream).all() for stream in projected):
            raise LmdmError("Features hold NaN or infinite values; is the audio finite?")
        return Streams(
            np.array([len(stream) for stream in projected], dtype=np.float64),
            np.stack([stream.sum(axis=0) for stream in projected]),
            np.stack([stream.T @ stream for stream in projected]),
        )

    @property
    def windows(self) -> int:
        """Windows of all streams."""
        return int(self.counts.sum())

    def gaussian(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean (d,) and covariance (d, d) of all windows, each stream taken as often as `weights` says."""
        weights = np.ones(len(self.counts)) if weights is None else weights
        total = weights @ self.counts
        mean = weights @ self.sums / total
        second = np.tensordot(weights, self.squares, axes=1) / total
        return mean, (second - np.outer(mean, mean)) * (total / max(total - 1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Distance:
    """A Fréchet distance with its bootstrap 95 % interval; `draws` are the bootstrap distances, bias taken off."""

    value: float
    low: float
    high: float
    windows: tuple[int, int]
    draws: np.ndarray = field(repr=False)

    def ratio(self, other: Distance) -> tuple[float, float, float]:
        """This distance by another, and its 95 % interval from paired draws."""
        ratios = self.draws / np.maximum(other.draws, 1e-9)
        low, high = np.quantile(ratios, (0.025, 0.975))
        return self.value / max(other.value, 1e-9), float(max(low, 0.0)), float(max(high, 0.0))

    def to_json(self) -> dict[str, object]:
        """Value, interval and windows a side."""
        return {"value": self.value, "low": self.low, "high": self.high, "windows": list(self.windows)}


def fit_projection(training: np.ndarray) -> Projection:
    """Standardise (windows, features) of training songs and find their 64 principal axes.

    Raises LmdmError for fewer than 1000 windows.
    """
    require_windows(len(training), "training songs")
    values = training.astype(np.float64)
    mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), LEAST_DEVIATION)
    spread, axes = np.linalg.eigh(np.cov((values - mean) / scale, rowvar=False))
    return Projection(mean, scale, axes[:, ::-1][:, :AXES], float(spread[-AXES:].sum() / spread.sum()))


def frechet_distance(one: Streams, other: Streams, *, draws: int = 300, seed: int = 0) -> Distance:
    """Distance of two sets of streams, and its bootstrap 95 % interval.

    Drawing with replacement repeats streams, which alone makes sets look more apart; the mean of that excess is taken
    off every draw, so that the interval lies around the distance. Calls with one seed draw the same streams, which
    pairs them. Raises LmdmError for fewer than 1000 windows on a side.
    """
    require_windows(one.windows, "the first set")
    require_windows(other.windows, "the second set")
    value = gaussian_distance(*one.gaussian(), *other.gaussian())
    rngs = [np.random.default_rng([seed, side]) for side in (0, 1)]
    drawn = np.array([_drawn_distance(one, other, rngs) for _ in range(draws)])
    drawn = drawn - drawn.mean() + value
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Distance(value, max(float(low), 0.0), float(high), (one.windows, other.windows), drawn)


def gaussian_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """Fréchet distance of two Gaussians; never negative.

    The trace of the root of the product is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is
    symmetric: no complex numbers, and rank deficient covariances are no trouble.
    """
    spread, axes = np.linalg.eigh(cov_a)
    root = (axes * np.sqrt(np.maximum(spread, 0.0))) @ axes.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0.0)).sum()
    difference = mean_a - mean_b
    return max(float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2.0 * overlap), 0.0)


def require_windows(windows: int, what: str) -> None:
    """Refuse fewer than 1000 windows: covariances of 64 features from less are mostly chance."""
    if windows < LEAST_WINDOWS:
        raise LmdmError(f"A Fréchet distance needs at least {LEAST_WINDOWS} windows a side; {what} has {windows}.")


def _drawn_distance(one: Streams, other: Streams, rngs: Sequence[np.random.Generator]) -> float:
    gaussians = []
    for streams, rng in zip((one, other), rngs, strict=True):
        size = len(streams.counts)
        weights = np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)
        gaussians += streams.gaussian(weights)
    return gaussian_distance(*gaussians)
