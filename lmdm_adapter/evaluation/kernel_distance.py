"""The kernel distance of two sets of streams: squared maximum mean discrepancy with a cubic kernel.

It is the distance of Bińkowski et al. 2018, "Demystifying MMD GANs" (there KID), with one change: pairs of windows of
the same stream are left out, not only pairs of a window with itself. Windows of one stream resemble each other, so that
with them two equal distributions would seem to differ. Without them the distance is unbiased, zero on average
for equal distributions, whatever the number of windows: it may be a little below zero. Features are brought to the
reference's mean and spread, axis by axis, so that no axis decides alone; what that adds is lost in the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.bootstrap import interval, stream_draws

LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class KernelDistance:
    """The distance and its 95 % interval over streams."""

    value: float
    low: float
    high: float
    windows: tuple[int, int]

    def to_json(self) -> dict[str, object]:
        """Value, interval and windows a side."""
        return {"value": self.value, "low": self.low, "high": self.high, "windows": list(self.windows)}


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel over all pairs of windows, by stream: `within` (k, k), `across` to the reference (k, r)."""

    within: np.ndarray = field(repr=False)
    across: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class KernelReference:
    """The `r` streams that others are held against, (windows, d) each, and their sums (r, r).

    `streams` are as given, `standardised` brought to mean 0 and spread 1 by `mean` and `spread`, (d,) each.
    """

    streams: tuple[np.ndarray, ...] = field(repr=False)
    standardised: tuple[np.ndarray, ...] = field(repr=False)
    mean: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)
    sums: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)

    @staticmethod
    def of(streams: Sequence[np.ndarray]) -> KernelReference:
        """From one array (windows, d) per stream. Raises LmdmError for fewer than two streams, or NaN."""
        _require_streams(streams, "the reference")
        joined = np.concatenate(streams)
        mean, spread = joined.mean(axis=0), np.maximum(joined.std(axis=0), LEAST_SPREAD)
        standardised = tuple((stream - mean) / spread for stream in streams)
        sums = polynomial_sums(standardised, standardised)
        return KernelReference(tuple(streams), standardised, mean, spread, sums, _counts(streams))

    def sums_of(self, streams: Sequence[np.ndarray]) -> KernelSums:
        """All that a distance of `streams` needs. Raises LmdmError for fewer than two streams, or NaN."""
        _require_streams(streams, "the music to measure")
        streams = [(stream - self.mean) / self.spread for stream in streams]
        across = polynomial_sums(streams, self.standardised)
        return KernelSums(polynomial_sums(streams, streams), across, _counts(streams))

    def distances(self, sums: KernelSums, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Distances (draws,) where streams count as often as `one` (draws, k) and `other` (draws, r) say."""
        across = np.einsum("ai,ij,aj->a", one, sums.across, other) / ((one @ sums.counts) * (other @ self.counts))
        ours, theirs = _mean_of_pairs(sums.within, sums.counts, one), _mean_of_pairs(self.sums, self.counts, other)
        return ours + theirs - 2.0 * across


def kernel_distance(
    streams: Sequence[np.ndarray], reference: KernelReference, *, draws: int = 400, seed: int = 0
) -> KernelDistance:
    """Distance of `streams`, (windows, d) each, from the reference, with its interval. Raises as `sums_of`."""
    sums, size, others = reference.sums_of(streams), len(streams), len(reference.streams)
    value = reference.distances(sums, np.ones((1, size)), np.ones((1, others)))[0]
    drawn = reference.distances(
        sums, stream_draws(size, draws=draws, seed=seed), stream_draws(others, draws=draws, seed=seed, side=1)
    )
    low, high = interval(drawn, min(size, others))
    windows = int(sums.counts.sum()), int(reference.counts.sum())
    return KernelDistance(float(value), float(low), float(high), windows)


def polynomial_sums(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> np.ndarray:
    """Sums of `(x y / d + 1)^3` over all pairs of windows of stream i of `one` and stream j of `other`, (k, r)."""
    joined = np.concatenate(other).astype(np.float64)
    starts = np.concatenate(([0], np.cumsum([len(stream) for stream in other])[:-1]))
    rows = [((stream @ joined.T / joined.shape[1] + 1.0) ** 3).sum(axis=0) for stream in one]
    return np.stack([np.add.reduceat(row, starts) for row in rows])


def _mean_of_pairs(sums: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The kernel's mean over pairs of windows of different streams, (draws,)."""
    apart = 1.0 - np.eye(len(counts))
    total = np.einsum("ai,ij,aj->a", weights, sums * apart, weights)
    pairs = np.einsum("ai,ij,aj->a", weights, np.outer(counts, counts) * apart, weights)
    return total / pairs


def _counts(streams: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(stream) for stream in streams], dtype=np.float64)


def _require_streams(streams: Sequence[np.ndarray], what: str) -> None:
    if len(streams) < 2 or min(map(len, streams)) == 0:
        raise LmdmError(f"A kernel distance needs at least 2 streams of a window or more, but {what} has fewer.")
    if not all(np.isfinite(stream).all() for stream in streams):
        raise LmdmError(f"Features of {what} hold NaN or infinite values; is the audio finite?")
