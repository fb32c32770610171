"""How much a socket may send: a bucket that fills steadily and that each message takes from."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """`per_second` may be spent on average, and at most `burst` at once."""

    def __init__(self, per_second: float, burst: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._now = per_second, burst, now
        self._left, self._at = burst, now()

    def spend(self, amount: float = 1.0) -> bool:
        """Whether so much may be spent now; if so it is."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True
