"""Where the live input belongs: the sound that came last was played to just now, whatever went missing before."""

from __future__ import annotations

import math

import numpy as np


class InputPlace:
    """Keeps what is handed on in step with what is played, by silence before or after a sound, or by leaving some out.

    As long as sound comes, nothing is done to it. When it is more than `late_samples` behind, it has stopped, and
    silence is counted in its place. When it is back its end is put where the end of what came was before, seen from
    what is played: whether the source lost what it heard meanwhile, sends it late, or has counted a hole into it. That
    is exact to a chunk of the source, or to what its resampler gives at once.
    """

    def __init__(self, late_samples: int) -> None:
        self.handed_samples, self._late = 0, late_samples
        self._behind, self._filled = math.inf, False

    def placed(self, samples: np.ndarray, *, played_samples: int, silent_samples: int) -> np.ndarray:
        """`samples` (`s ch`), all that has come since the last call, with what is missing around them.

        The newest of them came `silent_samples` before `played_samples`.
        """
        if len(samples):
            behind = played_samples - silent_samples - self.handed_samples - len(samples)
            samples = self._moved(samples, behind)
        out = self._filled_up(samples, played_samples)
        self.handed_samples += len(out)
        return out

    def _moved(self, samples: np.ndarray, behind: int) -> np.ndarray:
        missing = behind - (self._behind if self._behind < math.inf else 0)
        if not self._filled and missing <= self._late:
            self._behind = min(self._behind, behind)
            return samples
        self._filled = False
        return samples[-missing:] if missing < 0 else np.concatenate([_silence(missing, samples), samples])

    def _filled_up(self, samples: np.ndarray, played_samples: int) -> np.ndarray:
        missing = played_samples - self._late - self.handed_samples - len(samples)
        if missing <= 0:
            return samples
        self._filled = True
        return np.concatenate([samples, _silence(missing, samples)])


def _silence(count: int, like: np.ndarray) -> np.ndarray:
    return np.zeros((int(count), like.shape[1]), np.float32)
