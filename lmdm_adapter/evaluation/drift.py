"""Drift: a measure in windows over time, its slope per minute, and how sure one can be of that slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.bootstrap import interval, stream_draws
from lmdm_adapter.evaluation.frechet import Streams, gaussian_distance
from lmdm_adapter.evaluation.interval import Interval
from lmdm_adapter.evaluation.kernel_distance import KernelReference

Curve = Callable[[np.ndarray], np.ndarray]
"""A measure over time as a function of how often each stream counts: (draws, streams) to (draws, windows)."""


class Slope(Interval):
    """Change per minute of music, with its 95 % interval over streams."""


@dataclass(frozen=True, eq=False)
class Drift:
    """A measure over time: `minutes` are the middles of the windows; `values`, `low` and `high` are (windows,)."""

    minutes: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slope: Slope
    streams: int
    slope_draws: np.ndarray = field(repr=False)

    def minus(self, other: Drift) -> Slope:
        """How much steeper this is than `other`, which played the same prompts with the same draws."""
        low, high = interval(self.slope_draws - other.slope_draws, min(self.streams, other.streams))
        return Slope(self.slope.value - other.slope.value, float(low), float(high))

    def to_json(self) -> dict[str, object]:
        """Slope and all windows."""
        windows = {name: getattr(self, name).tolist() for name in ("minutes", "values", "low", "high")}
        return {"slope_per_minute": self.slope.to_json(), "streams": self.streams, **windows}


def drift(curve: Curve, minutes: np.ndarray, *, streams: int, draws: int = 400, seed: int = 0) -> Drift:
    """The least-squares line through a curve, and the interval of its slope from a bootstrap over `streams`.

    Raises LmdmError for fewer than two streams, or two windows.
    """
    if len(minutes) < 2:
        raise LmdmError(f"A slope over time needs at least 2 windows, got {len(minutes)}; play for longer.")
    values = curve(np.ones((1, streams)))[0]
    drawn = curve(stream_draws(streams, draws=draws, seed=seed))
    centred = minutes - minutes.mean()
    line = centred / (centred @ centred)
    slopes = drawn @ line
    slope = Slope(float(values @ line), *map(float, interval(slopes, streams)))
    return Drift(minutes, values, *interval(drawn, streams), slope, streams, slopes)


def mean_curve(values: np.ndarray) -> Curve:
    """The mean over streams of figures (windows, streams) that each stream has for itself."""
    return lambda weights: weights @ values.T / weights.sum(axis=1, keepdims=True)


def kernel_curve(windows: Sequence[Sequence[np.ndarray]], reference: KernelReference) -> Curve:
    """The kernel distance of each window's streams, (features, d) each, from the whole reference."""
    sums = [reference.sums_of(streams) for streams in windows]

    def curve(weights: np.ndarray) -> np.ndarray:
        other = np.ones((len(weights), len(reference.streams)))
        return np.stack([reference.distances(one, weights, other) for one in sums], axis=1)

    return curve


def frechet_curve(windows: Sequence[Sequence[np.ndarray]], reference: Sequence[np.ndarray]) -> Curve:
    """The Fréchet distance of each window's streams from the reference.

    So few features make every window's distance too large, and all alike: read its slope, not its level.
    """
    gaussian = Streams.of(reference).gaussian()
    sums = [Streams.of(list(streams)) for streams in windows]

    def curve(weights: np.ndarray) -> np.ndarray:
        return np.array([[gaussian_distance(*gaussian, *one.gaussian(row)) for one in sums] for row in weights])

    return curve
