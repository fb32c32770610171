"""What a benchmark found, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmdm_adapter.bench.passes import DISCRETE_BASELINE_EVALUATIONS
from lmdm_adapter.spec import Regime


@dataclass(frozen=True)
class StageTime:
    """Seconds per block of one stage: median and 95th percentile over the blocks, and its bare arithmetic."""

    median: float
    p95: float
    floor: float

    @staticmethod
    def of(seconds: list[float], *, floor: float) -> StageTime:
        """Figures of the times of all blocks."""
        return StageTime(float(np.median(seconds)), float(np.quantile(seconds, 0.95)), floor)


@dataclass(frozen=True)
class RegimeFigures:
    """One regime. `played` is denoise and commit as a stream does them: in one pass, where the regime can.

    Frames through the network are counted by hooks on a played block, `formula_frames_per_block` is what the method
    promises; `state_bytes` is what a stream keeps between blocks, keys and values included.
    """

    regime: Regime
    denoise: StageTime
    commit: StageTime
    played: StageTime
    network_frames_per_block: int
    formula_frames_per_block: int
    network_evaluations_per_block: int
    state_bytes: int


@dataclass(frozen=True)
class BenchReport:
    """A whole run. `regimes` has the benchmarked one first; all were timed in turn, block by block.

    Figures of `settings` say what was timed and where.
    """

    settings: Mapping[str, Any]
    block_seconds: float
    decode: StageTime
    regimes: tuple[RegimeFigures, ...]
    weights_bytes: Mapping[str, int]
    peak_rss_bytes: int | None
    peak_device_bytes: int | None

    def real_time_factor(self, figures: RegimeFigures) -> float:
        """Compute time of a median block divided by its audio time: below 1 keeps up with playing."""
        return (figures.played.median + self.decode.median) / self.block_seconds

    def times_faster(self, regime: Regime) -> dict[str, float]:
        """How many times faster than `regime` each regime plays a block, decoding apart; empty if it was not timed."""
        baseline = [one.played.median for one in self.regimes if one.regime == regime]
        return {one.regime: baseline[0] / one.played.median for one in self.regimes} if baseline else {}

    def to_json(self) -> dict[str, Any]:
        """All figures as one JSON object; the benchmarked regime's are at the top, times in seconds per block."""
        return {
            **self.settings,
            **self._figures(self.regimes[0]),
            "block_seconds": self.block_seconds,
            "regimes": {one.regime: self._figures(one) for one in self.regimes},
            "times_faster_than": {one.regime: self.times_faster(one.regime) for one in self.regimes},
            "discrete_baseline_evaluations_per_block": DISCRETE_BASELINE_EVALUATIONS,
            "weights_bytes": dict(self.weights_bytes),
            "peak_rss_bytes": self.peak_rss_bytes,
            "peak_device_bytes": self.peak_device_bytes,
        }

    def _figures(self, one: RegimeFigures) -> dict[str, Any]:
        figures = asdict(one)
        stages = {name: figures.pop(name) for name in ("denoise", "commit", "played")}
        return {
            **figures, "stages": {**stages, "decode": asdict(self.decode)},
            "real_time_factor": self.real_time_factor(one),
        }  # fmt: skip
