"""What turns the sound that a mode hears into a sketch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, past_frames, push, start


class Ears(Protocol):
    """Sound in, in pieces of any length and channels; frames of a sketch out, as soon as they are settled."""

    def push(self, samples: np.ndarray) -> Sketch:
        """The frames that the next samples, `s ch`, settle; none perhaps. The first ever is frame 0."""
        ...

    @property
    def past_frames(self) -> int:
        """How many frames before a frame its sketch depends on."""
        ...

    def fresh(self) -> Ears:
        """Ears like these that have heard nothing yet."""
        ...


class SketchEars:
    """The sketch of a stream of sound (`controls/sketch/stream.py`). Raises LmdmError without the extra `[sketch]`."""

    def __init__(self, config: SketchConfig) -> None:
        self._config, self._state = config, start(config)

    def push(self, samples: np.ndarray) -> Sketch:
        """The frames that `samples`, `s ch` at the config's rate, settle."""
        sketch, self._state = push(self._config, self._state, Audio(samples.T, self._config.sample_rate))
        return sketch

    @property
    def past_frames(self) -> int:
        """The reach of the longest window."""
        return past_frames(self._config)

    def fresh(self) -> SketchEars:
        """The same settings, from silence on."""
        return SketchEars(self._config)
