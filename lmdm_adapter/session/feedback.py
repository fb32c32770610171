"""From what is played back into what is heard: the way round of a generative delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lmdm_adapter.session.ring import AudioRing
from lmdm_adapter.session.troubles import Troubles

KEPT_SECONDS = 10.0
SILENCE_SAMPLES, CATCH_UP = 4096, 4
"""Pieces of silence that one call may write for what was lost."""


class FeedbackLoop:
    """Adds what was played at a sample of the session to what was heard at that sample.

    The playing thread calls `send`, the making thread `joined`. Both sides count from the session's sample 0, and what
    has only come on one side waits for the other, so the sum does not depend on how either is cut into chunks. Of what
    is played while nothing is made for longer than `KEPT_SECONDS`, the newest is lost, and counts as silence. An input
    that runs ahead of what is played is kept for as long; what comes beyond that is left out, and `announce` hears of
    it: "ahead".
    """

    def __init__(
        self, channels: int, sample_rate: int, *, announce: Callable[[dict[str, Any]], None] = lambda record: None
    ) -> None:
        self._ring = AudioRing(channels, round(KEPT_SECONDS * sample_rate))
        self._troubles, self._sent_samples, self._joined_samples = Troubles(announce), 0, 0
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
        self._sent_samples += len(samples)

    @property
    def waiting_samples(self) -> int:
        """What was heard and waits for what is played then; bounded."""
        return len(self._heard)

    def joined(self, heard: np.ndarray | None) -> np.ndarray:
        """The next samples of both together, `s ch`; `heard` is what came since the last call, or None."""
        if heard is None:
            heard = np.zeros((self._ring.readable_samples, self._ring.channels), np.float32)
        waiting = self._near(np.concatenate([self._heard, heard]))
        count = min(len(waiting), self._ring.readable_samples)
        back = np.empty((count, self._ring.channels), np.float32)
        self._ring.read(back)
        self._heard = waiting[count:].copy()
        self._joined_samples += count
        return waiting[:count] + back

    def _near(self, waiting: np.ndarray) -> np.ndarray:
        """What waits, without what is too far ahead of what is played: a clock that runs fast must take no memory."""
        # After a stall all that was played meanwhile has come, and only waits for its silence in the ring.
        ahead, most = len(waiting) - (self._sent_samples - self._joined_samples), self._ring.capacity_samples
        left_out = max(0, ahead - most)
        # Chunks come unevenly: it is over when half of it was played, not with the first call that loses nothing.
        still = "ahead" in self._troubles and ahead > most // 2
        self._troubles.tell("ahead", left_out > 0 or still, samples=left_out)
        return waiting[: len(waiting) - left_out]
