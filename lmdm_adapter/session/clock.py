"""Clocks: the machine's own, and one that stands still until it is told to go on."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

from lmdm_adapter.errors import LmdmError


class Clock(Protocol):
    """What the session asks a clock. It measures compute times only; music is counted in samples."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def wait(self, seconds: float) -> None:
        """Come back after that many seconds."""
        ...


class SystemClock:
    """The machine's monotonic clock; setting the time of day does not touch it."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock for simulations: `wait` runs what was planned until then, each thing at its own time.

    What runs inside `wait` is what other threads would have done meanwhile, so a whole session is one deterministic
    sequence of calls. `jump` is a clock gone wrong: time moves, and nothing runs.
    """

    def __init__(self) -> None:
        self._now, self._order = 0.0, count()
        self._planned: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def call_at(self, seconds: float, action: Callable[[], None]) -> None:
        """Plan `action`. Raises LmdmError for a time that has passed."""
        if seconds < self._now:
            raise LmdmError(f"It is {self._now} s; nothing can be planned for {seconds} s.")
        heapq.heappush(self._planned, (seconds, next(self._order), action))

    def next_call(self) -> float | None:
        """When the next planned thing is due."""
        return self._planned[0][0] if self._planned else None

    def wait(self, seconds: float) -> None:
        """Let time pass, and run what falls into it."""
        until = self._now + max(0.0, seconds)
        while self._planned and self._planned[0][0] <= until:
            due, _, action = heapq.heappop(self._planned)
            self._now = max(self._now, due)
            action()
        self._now = max(self._now, until)

    def jump(self, seconds: float) -> None:
        """Set the clock forth or back."""
        self._now += seconds
