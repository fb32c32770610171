"""A voice without a model: it plays what it hears, block by block. For checking and measuring the line."""

from __future__ import annotations

import threading
import time

import numpy as np

from lmdm_adapter.demo.voice import Chunk, Report, Wish
from lmdm_adapter.errors import LmdmError

BLOCK_SECONDS = 0.02
WAIT_SECONDS = 0.25
KEPT_SECONDS = 2.0


class EchoVoice:
    """What comes in goes out, in the order of its numbers; samples that never came are silent.

    It waits for its input, for up to `WAIT_SECONDS`, after which it plays silence. Raises LmdmError without a source.
    """

    block_seconds = BLOCK_SECONDS

    def __init__(self, wish: Wish) -> None:
        if wish.source is None:
            raise LmdmError("An echo needs a live input; start the microphone or choose a file.")
        self.sample_rate, self.channels = wish.source
        self._came, self._waiting = threading.Condition(), np.zeros((0, self.channels), np.float32)
        self._next = self._index = 0

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        """The next input; a hole in the numbers is filled with silence, at most `KEPT_SECONDS` are kept."""
        kept = round(KEPT_SECONDS * self.sample_rate)
        with self._came:
            hole = min(max(0, first_sample - self._next), kept)
            fresh = samples[max(0, self._next - first_sample) :]
            silence = np.zeros((hole, self.channels), np.float32)
            self._waiting = np.concatenate([self._waiting, silence, fresh])[-kept:]
            self._next = max(self._next, first_sample + len(samples))
            self._came.notify()

    def next_chunk(self) -> Chunk:
        """All that came since the last chunk."""
        with self._came:
            self._came.wait_for(lambda: len(self._waiting) > 0, WAIT_SECONDS)
            began = time.perf_counter()
            samples, self._waiting = self._waiting, self._waiting[:0]
        if not len(samples):
            samples = np.zeros((round(BLOCK_SECONDS * self.sample_rate), self.channels), np.float32)
        self._index += 1
        seconds = time.perf_counter() - began
        return Chunk(samples, Report(self._index - 1, seconds, len(samples) / self.sample_rate))

    def set(self, name: str, value: object) -> None:
        """It has no knobs."""

    def close(self) -> None:
        """It holds nothing."""
