"""How long it takes from what is done to what is heard: figures of many tries beside what they must stay under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HEARD = 0.001
"""A difference of -60 dB of full scale: less than that nobody hears."""


@dataclass(frozen=True)
class Lags:
    """`seconds` of every try, and the `bound` that their 95th percentile must stay under."""

    name: str
    seconds: tuple[float, ...]
    bound: float

    @property
    def p50(self) -> float:
        """The median."""
        return float(np.percentile(self.seconds, 50))

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return float(np.percentile(self.seconds, 95))

    @property
    def within(self) -> bool:
        """Whether the bound holds."""
        return self.p95 <= self.bound

    def to_json(self) -> dict[str, Any]:
        """All figures, in seconds."""
        return {"name": self.name, "count": len(self.seconds), "p50": self.p50, "p95": self.p95,
                "most": max(self.seconds), "bound": self.bound, "within": self.within,
                "seconds": [round(one, 4) for one in self.seconds]}  # fmt: skip


def table(rows: Sequence[Lags]) -> str:
    """The figures in milliseconds, as Markdown."""
    lines = ["| from what to what | tries | p50 | p95 | most | bound |", "|---|---|---|---|---|---|"]
    for one in rows:
        figures = " | ".join(f"{1000 * value:.0f} ms" for value in (one.p50, one.p95, max(one.seconds), one.bound))
        lines.append(f"| {one.name} | {len(one.seconds)} | {figures} |")
    return "\n".join(lines)


def first_change(heard: np.ndarray, otherwise: np.ndarray, *, least: float = 0.0) -> int | None:
    """The first sample at which two sounds (`s ch`) differ by more than `least`; None where they never do."""
    count = min(len(heard), len(otherwise))
    differs = np.abs(heard[:count] - otherwise[:count]).max(axis=1, initial=0.0) > least
    return int(np.argmax(differs)) if differs.any() else None


def answers(done: Sequence[float], heard: Sequence[float], *, longest: float) -> list[float]:
    """For everything that was heard, how long before it the last thing was done, if that is no longer than `longest`.

    What was done and not heard has no answer; and what was heard before anything was done answers nothing.
    """
    done = np.sort(np.asarray(done, float))
    places = np.searchsorted(done, heard, side="right") - 1
    lags = [time - done[place] for time, place in zip(heard, places, strict=True) if place >= 0]
    return [float(lag) for lag in lags if lag <= longest]


class OutputTimes:
    """When which sample was put out: pieces of the player's tap, `(first sample, samples of a channel, ms)`."""

    def __init__(self, pieces: Sequence[tuple[int, int, float]], *, sample_rate: int) -> None:
        self._rate = sample_rate
        self._firsts = np.array([first for first, _, _ in pieces])
        self._at = np.array([at for _, _, at in pieces], float)

    def seconds(self, sample: int) -> float:
        """When the sample came out, in seconds of the time of day."""
        piece = int(np.searchsorted(self._firsts, sample, side="right")) - 1
        return self._at[piece] / 1000 + (sample - int(self._firsts[piece])) / self._rate

    def sample(self, seconds: float) -> int:
        """The first sample of what was put out from that moment on."""
        return int(self._firsts[np.searchsorted(self._at / 1000, seconds)])
