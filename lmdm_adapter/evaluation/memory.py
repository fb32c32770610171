"""Memory of this process, and whether it stays level."""

from __future__ import annotations

import os
import sys

import numpy as np

from lmdm_adapter.evaluation.interval import Interval

MIB = 1024.0 * 1024.0
SEGMENTS = 10
LEAST_MINUTES = 1.0
T_QUANTILE = 2.306
"""Student's t for 95 % with the 8 degrees of freedom that a line through 10 segments leaves."""


class Slope(Interval):
    """Growth of memory in MiB per minute of music, with its 95 % interval."""


def rss_bytes() -> int | None:
    """Memory of this process now, or None where the system does not tell cheaply."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def peak_rss_bytes() -> int | None:
    """Most memory this process ever had, or None on systems without getrusage."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_slope(minutes: np.ndarray, rss_mib: np.ndarray) -> Slope | None:
    """A line through the medians of 10 equal segments, (samples,) both; None for fewer than 20 samples, or
    less than a minute, in which a start-up still looks like a leak.

    Memory of neighbouring blocks is nearly the same number, so single samples would make the interval far too narrow.
    """
    if len(minutes) < 2 * SEGMENTS or minutes[-1] - minutes[0] < LEAST_MINUTES:
        return None
    x = np.array([np.median(part) for part in np.array_split(minutes, SEGMENTS)])
    y = np.array([np.median(part) for part in np.array_split(rss_mib, SEGMENTS)])
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    residual = y - y.mean() - slope * centred
    half_width = T_QUANTILE * float(np.sqrt(residual @ residual / (SEGMENTS - 2) / spread))
    return Slope(slope, slope - half_width, slope + half_width)
