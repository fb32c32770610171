"""How sure one can be: a bootstrap over streams, which are independent, and never over windows, which are not."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.extras import extra


def stream_draws(streams: int, *, draws: int, seed: int, side: int = 0) -> np.ndarray:
    """How often each stream is drawn, (draws, streams), each row adding up to `streams`.

    One seed gives one set of draws, so that two models that played the same prompts are compared in pairs; `side`
    gives other draws, for a set of other streams. No draw is one stream alone, which has no pairs. Raises LmdmError
    for fewer than two streams.
    """
    if streams < 2:
        raise LmdmError(f"An interval needs at least 2 streams, got {streams}.")
    rng = np.random.default_rng([seed, side])
    shares = np.full(streams, 1.0 / streams)
    counts = rng.multinomial(streams, shares, size=draws)
    while (alone := counts.max(axis=1) == streams).any():
        counts[alone] = rng.multinomial(streams, shares, size=int(alone.sum()))
    return counts.astype(np.float64)


def interval(drawn: np.ndarray, streams: int) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of figures (draws, ...) drawn from so many streams: `low` and `high`, shape (...).

    Plain quantiles are too narrow for few streams. The expanded ones (Hesterberg 2015, "What teachers should know about
    the bootstrap", section 5) widen them as Student's t does: 1.4 % and 98.6 % for 16 streams.
    """
    stats = extra("scipy.stats", "An interval")
    tail = float(stats.norm.cdf(np.sqrt(streams / (streams - 1.0)) * stats.t.ppf(0.025, streams - 1)))
    low, high = np.quantile(drawn, (tail, 1.0 - tail), axis=0)
    return low, high
