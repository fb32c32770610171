"""What turns the sound that a mode hears into a sketch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, push, start


class Ears(Protocol):
    """Sound in, in pieces of any length and channels; frames of a sketch out, as soon as they are settled."""

    def push(self, samples: np.ndarray) -> Sketch:
        """The frames that the next samples, `s ch`, settle; none perhaps. The first ever is frame 0."""
        ...


class SketchEars:
    """The sketch of a stream of sound (`controls/sketch/stream.py`). Raises LmdmError without the extra `[sketch]`."""

    def __init__(self, config: SketchConfig) -> None:
        self._config, self._state = config, start(config)

    def push(self, samples: np.ndarray) -> Sketch:
        """The frames that `samples`, `s ch` at the config's rate, settle."""
        sketch, self._state = push(self._config, self._state, Audio(samples.T, self._config.sample_rate))
        return sketch
