"""Where the live input belongs: the sound that came last was played to just now, whatever went missing before."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

import numpy as np

MEASURES = 5
"""So many are asked how far behind the input is: threads that cross, and a packet that is late, spoil one or two."""
SETTLED_SHARE = 0.1
"""After a stop the input is put in its place until it is this much of the tolerance away from it by itself."""


class InputPlace:
    """Keeps what is handed on in step with what is played, by silence before or after a sound, or by leaving some out.

    As long as sound comes as it came, nothing is done to it. When it is more than `late_samples` behind, it has
    stopped, and silence is counted in its place. Of a source that counts its samples as much is left out when it is
    back. Of another its end is put where the end of what came was before, seen from what is played, whether it lost
    what it heard meanwhile or sends it late; that is exact to a chunk of the source, or to what its resampler gives at
    once.
    """

    def __init__(self, late_samples: int) -> None:
        self.handed_samples, self._late = 0, late_samples
        self._measured: deque[int] = deque(maxlen=MEASURES)
        self._behind, self._stopped, self._owed_samples = math.inf, False, 0

    def placed(
        self, samples: np.ndarray, *, played_samples: int, silent_samples: int, counted: bool = False
    ) -> np.ndarray:
        """`samples` (`s ch`), all that has come since the last call, with what is missing around them.

        The newest of them came `silent_samples` before `played_samples`; `counted` says that none is missing.
        """
        if counted:
            samples = self._paid(samples)
        elif len(samples) and played_samples:  # what comes before anything is played tells nothing of its lateness
            samples = self._moved(samples, played_samples - silent_samples - self.handed_samples - len(samples))
        out = self._filled_up(samples, played_samples)
        self.handed_samples += len(out)
        return out

    def _paid(self, samples: np.ndarray) -> np.ndarray:
        """Without those that silence was counted for."""
        taken = min(self._owed_samples, len(samples))
        self._owed_samples -= taken
        return samples[taken:]

    def _moved(self, samples: np.ndarray, behind: int) -> np.ndarray:
        """In their place, if they are out of it; else where they are, and that is learnt."""
        missing = behind - self._usual(behind)
        if abs(missing) > self._late or (self._stopped and abs(missing) > SETTLED_SHARE * self._late):
            self._stopped, self._owed_samples = True, 0
            return samples[-missing:] if missing < 0 else np.concatenate([_silence(missing, samples), samples])
        self._stopped = False
        self._measured.append(behind)
        self._behind = min(self._behind, median(self._measured))
        return samples

    def _usual(self, behind: int) -> int:
        """How far behind the input is when all is well: the least that was usual; not at all where that is not known.

        It may be ahead: a session may have heard silence for the time that its line takes.
        """
        if self._behind < math.inf:
            return int(self._behind)
        return 0 if self._stopped else min(behind, 0)

    def _filled_up(self, samples: np.ndarray, played_samples: int) -> np.ndarray:
        missing = played_samples - self._late - self.handed_samples - len(samples)
        if missing <= 0:
            return samples
        self._stopped, self._owed_samples = True, self._owed_samples + missing
        return np.concatenate([samples, _silence(missing, samples)])


def _silence(count: int, like: np.ndarray) -> np.ndarray:
    return np.zeros((int(count), like.shape[1]), np.float32)
