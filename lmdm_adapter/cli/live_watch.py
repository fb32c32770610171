"""What a session's log tells while it grows: counted for the panel and the report, and handed on to a recording."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.memory import MIB, memory_slope, rss_bytes
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.recorder import Recorder
from lmdm_adapter.session.threaded import as_told

log = logging.getLogger(__name__)

RECENT_BLOCKS = 8
MOST_BLOCKS = 100_000
START_MINUTES = 1.0


class Watch:
    """Takes the records of `engine`, in one thread; `recorder` gets them all. `write` is for a `ThreadedSession`.

    A recording that fails is kept as `failure`, and the music is watched on.
    """

    def __init__(
        self, engine: Engine, recorder: Recorder | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.failure: LmdmError | None = None
        self.kinds: Counter[str] = Counter()
        self.last = ""
        self._engine, self._recorder = engine, recorder
        self._blocks: deque[tuple[float, float]] = deque(maxlen=MOST_BLOCKS)
        self._least_margin = math.inf
        self._now, self._memory = now, deque[tuple[float, float]](maxlen=MOST_BLOCKS)

    def write(self) -> None:
        """Take what has gathered, and bring it to the disk."""
        records = self._engine.noted()
        for record in records:
            self._see(record)
        self._see_memory()
        if self._recorder is None or self.failure is not None:
            return
        try:
            self._recorder.write(records)
        except Exception as error:
            self.failure = as_told("Recording", error)
            self.last = str(self.failure)
            log.error("%s The music goes on unrecorded.", self.failure)

    @property
    def compute_seconds(self) -> float:
        """Compute time of a block, the median of the last few."""
        recent = list(self._blocks)[-RECENT_BLOCKS:]
        return float(np.median([compute for _, compute in recent])) if recent else 0.0

    @property
    def real_time_factor(self) -> float:
        """Compute time by music of the last few blocks: below 1 it keeps up."""
        recent = list(self._blocks)[-RECENT_BLOCKS:]
        return sum(compute for _, compute in recent) / sum(length for length, _ in recent) if recent else 0.0

    def figures(self) -> dict[str, float]:
        """Of all blocks: real-time factors, and the least that was ready when one came while the music played."""
        if not self._blocks:
            return {}
        lengths, computes = np.array(self._blocks).T
        factors = computes / lengths
        return {
            "real_time_factor_median": float(np.median(factors)),
            "real_time_factor_p95": float(np.percentile(factors, 95)),
            "real_time_factor_p99": float(np.percentile(factors, 99)),
            "compute_seconds_median": float(np.median(computes)), "compute_seconds_most": float(computes.max()),
            "margin_seconds_least": self._least_margin if math.isfinite(self._least_margin) else 0.0,
        }  # fmt: skip

    def memory_growth(self) -> dict[str, float] | None:
        """A line through this process's memory, in MiB per minute, without the first minute, in which things start.

        None in the first two minutes.
        """
        settled = [one for one in self._memory if one[0] - self._memory[0][0] >= START_MINUTES]
        slope = memory_slope(*np.array(settled).T) if settled else None
        return None if slope is None else slope.to_json()

    def _see_memory(self) -> None:
        """Note this process's memory about once a second."""
        minutes, size = self._now() / 60.0, rss_bytes()
        if size is not None and (not self._memory or minutes - self._memory[-1][0] >= 1.0 / 60.0):
            self._memory.append((minutes, size / MIB))

    def _see(self, record: Mapping[str, Any]) -> None:
        kind = record["kind"]
        self.kinds[kind] += 1
        if kind == "block":
            seconds = record["cue"].frames / self._engine.facts.frame_rate_hz
            self._blocks.append((seconds, record["compute_seconds"]))
            if self.kinds["wait"]:
                self._least_margin = min(self._least_margin, record["margin_seconds"])
        elif kind == "governor":
            self.last = f"{record['what']}: {record['before']:g} to {record['after']:g}, {record['why']}"
        elif kind in ("refused", "failure"):
            self.last = str(record["why"])
        elif kind == "device":
            gone = record["what"] == "lost"
            self.last = f"the device is gone: {record['why']}" if gone else f"back after {record['gap_seconds']:.1f} s"
        elif kind == "input":
            self.last = f"input: {record['what']}"
        elif kind == "hold":
            self.last = "the music ran out; the last bar plays as a loop"
