"""A live model that remembers where it was told something new, so that this can be made again as if it had not been."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.live import LiveModel


class RememberingModel:
    """Plays one stream as `live` does."""

    def __init__(self, live: LiveModel) -> None:
        self._live, self._samples, self._told = live, 0, None
        self._turned: list[tuple[int, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    def step(self, state: Any, controls: Any, *, sampling: Any) -> tuple[Audio, Any]:
        """As the model's own."""
        audio, after = self._live.step(state, controls, sampling=sampling)
        if self._told not in (None, (controls, sampling)):
            self._turned.append((self._samples, state, self._told))
        self._told = (controls, sampling)
        self._samples += audio.samples.shape[1]
        return audio, after

    def turns(self) -> Iterator[tuple[int, np.ndarray]]:
        """For every block that was told something new its first sample, and what it were without that, `s ch`."""
        for first, state, (controls, sampling) in self._turned:
            yield first, self._live.step(state, controls, sampling=sampling)[0].samples.T
