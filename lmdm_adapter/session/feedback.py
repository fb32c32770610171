"""From what is played back into what is heard: the way round of a generative delay."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.session.ring import AudioRing

KEPT_SECONDS = 10.0
SILENCE_SAMPLES, CATCH_UP = 4096, 4
"""Pieces of silence that one call may write for what was lost."""


class FeedbackLoop:
    """Adds what was played at a sample of the session to what was heard at that sample.

    The playing thread calls `send`, the making thread `joined`. Both sides count from the session's sample 0, and what
    has only come on one side waits for the other, so the sum does not depend on how either is cut into chunks. Of what
    is played while nothing is made for longer than `KEPT_SECONDS`, the newest is lost, and counts as silence.
    """

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._ring = AudioRing(channels, round(KEPT_SECONDS * sample_rate))
        # The callback takes no memory: what was lost is made up for in pieces.
        self._lost, self._silence = 0, np.zeros((SILENCE_SAMPLES, channels), np.float32)
        self._heard = np.zeros((0, channels), np.float32)

    def send(self, samples: np.ndarray) -> None:
        """The next of what is played, `s ch`, as loud as it is to be heard."""
        for _ in range(CATCH_UP):
            silence = self._silence[: min(self._lost, len(self._silence))]
            self._lost -= self._ring.write(silence)
        kept = 0 if self._lost else self._ring.write(samples)
        self._lost += len(samples) - kept

    def joined(self, heard: np.ndarray | None) -> np.ndarray:
        """The next samples of both together, `s ch`; `heard` is what came since the last call, or None."""
        if heard is None:
            heard = np.zeros((self._ring.readable_samples, self._ring.channels), np.float32)
        waiting = np.concatenate([self._heard, heard])
        count = min(len(waiting), self._ring.readable_samples)
        back = np.empty((count, self._ring.channels), np.float32)
        self._ring.read(back)
        self._heard = waiting[count:].copy()
        return waiting[:count] + back
