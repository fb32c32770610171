"""What a session's mode hears of a microphone, on its way to a recording."""

from __future__ import annotations

from collections import deque

import numpy as np

from lmdm_adapter.demo.voice import Heard


class Overheard:
    """Gathers the input from the thread that makes the music, until the one that plays it takes it, chunk by chunk.

    What waits is bounded by what is made ahead: no more is heard while nothing is played.
    """

    def __init__(self) -> None:
        self._pieces: deque[np.ndarray] = deque()
        self._samples_taken = 0

    def tap(self, name: str, samples: np.ndarray) -> None:
        """The next samples of a session, `s ch`; for `Engine(tap=...)`."""
        if name == "input":
            self._pieces.append(samples)

    def taken(self) -> Heard | None:
        """All that was heard since the last call, or None."""
        pieces = [self._pieces.popleft() for _ in range(len(self._pieces))]
        if not pieces:
            return None
        heard = Heard(self._samples_taken, np.concatenate(pieces))
        self._samples_taken += len(heard.samples)
        return heard
