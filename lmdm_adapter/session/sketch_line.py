"""The sketch that a session follows, by frame of its clock: as far as it is known, as loose as the knob says."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.controls.sketch import Sketch, loosened
from lmdm_adapter.controls.sketch.tightness import width_at
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.frozen import FrozenLoop


class SketchLine:
    """Frames of a sketch from `first_frame` on, the newest `kept_frames` of them.

    Where there are none, nothing is drawn. Frames are kept exact and loosened when they are read, so that tightness
    takes effect at the very frame. A read looks `widest_frames // 2` frames to either side, wherever the knob stands.
    Raises LmdmError for room for less than that.
    """

    def __init__(self, *, widest_frames: int, kept_frames: int, first_frame: int = 0) -> None:
        if kept_frames < widest_frames:
            raise LmdmError(f"At least {widest_frames} frames of a sketch are kept, got {kept_frames}.")
        self.first_frame, self._widest, self.kept_frames = first_frame, widest_frames, kept_frames
        self._known: Sketch | None = None
        self._loop: tuple[FrozenLoop, Sketch] | None = None

    @property
    def end_frame(self) -> int:
        """The first frame that is not known."""
        return self.first_frame + (0 if self._known is None else self._known.frames)

    def append(self, sketch: Sketch) -> None:
        """The next frames; the oldest are forgotten where there are too many."""
        whole = sketch if self._known is None else Sketch.joined((self._known, sketch))
        dropped = max(0, whole.frames - self.kept_frames)
        # A copy: a view would keep everything before it alive.
        self._known = Sketch({name: rows[:, dropped:].copy() for name, rows in whole.values.items()})
        self.first_frame += dropped

    def freeze(self, at_frame: int, length_frames: int) -> None:
        """From `at_frame` on repeat the `length_frames` before it, or as many of them as there are."""
        length = min(length_frames, at_frame - self.first_frame, self.end_frame - self.first_frame)
        if length > 0:
            loop = FrozenLoop(at_frame, length)
            self._loop = loop, self._cut(loop.first_frame + np.arange(length))

    def thaw(self) -> None:
        """Go on with what is known by now."""
        self._loop = None

    @property
    def frozen(self) -> bool:
        """Whether it repeats."""
        return self._loop is not None

    def read(self, first_frame: int, frames: int, *, tightness: float) -> dict[str, np.ndarray]:
        """The frame controls `c n` of `frames` frames; none as long as nothing is known."""
        if self._known is None:
            return {}
        side = self._widest // 2
        wide = self._frames(first_frame - side, frames + 2 * side)
        sketch = loosened(wide, width_at(tightness, self._widest))[side : side + frames]
        return {name: values.numpy() for name, values in sketch.controls().items()}

    def _frames(self, first_frame: int, frames: int) -> Sketch:
        if self._loop is None:
            return self._cut(np.arange(first_frame, first_frame + frames))
        loop, sketch = self._loop
        places = loop.places(first_frame, frames)
        return Sketch({name: rows[:, places] for name, rows in sketch.values.items()})

    def _cut(self, places: np.ndarray) -> Sketch:
        """The frames at these places of the clock."""
        assert self._known is not None, "only what is known can be cut"
        there = (places >= self.first_frame) & (places < self.end_frame)
        cut = {}
        for name, rows in self._known.values.items():
            cut[name] = np.zeros((len(rows), len(places)), np.float32)
            cut[name][:, there] = rows[:, places[there] - self.first_frame]
        return Sketch(cut)
