"""Troubles of a live input, told as they begin and end: a line each, not one for every chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Troubles:
    """Announces the beginning of a trouble with the samples of its first chunk, and its end with those of all of it."""

    def __init__(self, announce: Callable[[dict[str, Any]], None]) -> None:
        self._announce = announce
        self._samples: dict[str, int | None] = {}

    def __contains__(self, what: str) -> bool:
        """Whether it has begun and is not over."""
        return what in self._samples

    def tell(self, what: str, there: bool, *, samples: int | None = None) -> None:
        """Whether `what` is there now, and how many samples this chunk lost by it, where they can be counted."""
        if there and what not in self._samples:
            self._samples[what] = samples
            self._announce({"kind": "input", "what": what, "samples": samples})
        elif there and samples is not None:
            self._samples[what] = (self._samples[what] or 0) + samples
        elif not there and what in self._samples:
            self._announce({"kind": "input", "what": f"{what} over", "samples": self._samples.pop(what)})
