"""The newest sound that was heard, by its sample."""

from __future__ import annotations

from collections import deque

import numpy as np


class RecentSound:
    """Keeps at least the newest `kept_samples` of a sound `s ch`, and counts them all; its memory is bounded."""

    def __init__(self, kept_samples: int) -> None:
        self._kept_samples, self._pieces, self.end = kept_samples, deque[np.ndarray](), 0
        self._held_samples = 0

    def append(self, samples: np.ndarray) -> None:
        """The next samples, `s ch`; pieces that are not needed any more are let go."""
        if not len(samples):
            return
        self._pieces.append(samples.copy())
        self.end += len(samples)
        self._held_samples += len(samples)
        while self._held_samples - len(self._pieces[0]) >= self._kept_samples:
            self._held_samples -= len(self._pieces.popleft())

    def since(self, first: int) -> np.ndarray:
        """The samples from number `first` on, `s ch`; before the first ever, and where they are forgotten, is silence.

        A mono piece, such as silence, counts for all channels.
        """
        channels = max((piece.shape[1] for piece in self._pieces), default=1)
        begin = self.end - self._held_samples
        silence = np.zeros((max(0, min(begin, self.end) - first), channels), np.float32)
        held = [np.broadcast_to(piece, (len(piece), channels)) for piece in self._pieces]
        return np.concatenate([silence, *held])[max(0, first - begin) :]
