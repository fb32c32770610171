"""What a session heard, for its replay: from the recording of it, or made anew from a sound that was its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.looped_sound import LoopedSound

Samples = Callable[[int, int], np.ndarray]
"""So many samples, `s ch`, from that one of the session on."""


class HeardAgain(Protocol):
    """The input of a session, what was fed back included."""

    def send(self, samples: np.ndarray) -> None:
        """The next of what is fed back, `s ch`."""
        ...

    def at(self, first_sample: int, count: int) -> np.ndarray:
        """The next samples, `s ch`; they are asked for in order, without holes."""
        ...


class Deaf:
    """No input, for a mode that needs none."""

    def send(self, samples: np.ndarray) -> None:
        """Nobody hears it."""

    def at(self, first_sample: int, count: int) -> np.ndarray:
        """No samples."""
        return np.zeros((0, 1), np.float32)


class Recorded:
    """The input as it was recorded, `s ch`, which what was fed back is part of."""

    def __init__(self, samples: np.ndarray | None) -> None:
        self._samples = samples

    def send(self, samples: np.ndarray) -> None:
        """It is in the recording."""

    def at(self, first_sample: int, count: int) -> np.ndarray:
        """A piece of the recording. Raises LmdmError where it is not long enough."""
        until = first_sample + count
        if self._samples is None or len(self._samples) < until:
            raise LmdmError(f"The session heard {until} samples of input by now; give the recorded input.wav.")
        return self._samples[first_sample:until]


class Repeated:
    """A sound that was the whole input; where the session feeds back, what was played is added at its sample."""

    def __init__(self, sound: LoopedSound, *, feeds_back: bool) -> None:
        self._sound, self._feeds_back = sound, feeds_back
        self._sent = np.zeros((0, sound.samples.shape[1]), np.float32)

    def send(self, samples: np.ndarray) -> None:
        """What is played, as loud as it was to be heard."""
        self._sent = np.concatenate([self._sent, samples])

    def at(self, first_sample: int, count: int) -> np.ndarray:
        """The sound, and what was fed back. Raises LmdmError where more was heard than was played by then."""
        heard = self._sound.at(first_sample, count)
        if not self._feeds_back:
            return heard
        if len(self._sent) < count:
            raise LmdmError(f"By sample {first_sample + count} more was heard than played; the log does not fit.")
        back, self._sent = self._sent[:count], self._sent[count:]
        return heard + back
