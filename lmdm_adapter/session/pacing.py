"""Where the next block border lies, and how long the loop of a hold is: the tempo grid as a session uses it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.grid import Quantum, TempoGrid
from lmdm_adapter.session.maker import Facts

log = logging.getLogger(__name__)

TEMPO_NAMES = ("tempo_bpm", "beats_per_bar", "block_beats", "beat_at_seconds")


class Pacing:
    """The block border that is next, in frames of the music, and the grid that it follows, if there is one.

    `longest_block_frames` bounds blocks on the grid: one must fit into the ring, and be heard by the mode in time.
    """

    def __init__(self, facts: Facts, values: Mapping[str, Any], *, longest_block_frames: int) -> None:
        self.border_frame, self._last_border_frame = 0, -math.inf
        self.grid: TempoGrid | None = None
        self._facts, self._longest, self._block_beats = facts, longest_block_frames, 1.0
        self.turn(values, beat_frame=None)

    def turn(self, values: Mapping[str, Any], *, beat_frame: float | None) -> None:
        """Follow the tempo parameters from the border that is next; a beat falls on `beat_frame` if it is given.

        Raises LmdmError for blocks that are too long or too short; then the grid stays as it was.
        """
        grid, beats = self._grid_of(values, beat_frame), 1.0
        if grid is not None:
            beats = values["block_beats"] or grid.nearest_block_beats(
                self._facts.block_frames, most_frames=self._longest - 1
            )
            self._require_length(grid, beats)
        self.grid, self._block_beats = grid, beats

    def next_frames(self) -> int:
        """Length of the next block."""
        if self.grid is None:
            return self._facts.block_frames
        return self.grid.next_border(self.border_frame, self._block_beats) - self.border_frame

    @property
    def longest_frames(self) -> int:
        """The longest block that comes on this grid; without one a usual block."""
        grid = self.grid
        return self._facts.block_frames if grid is None else grid.longest_block_frames(self._block_beats)

    def advance(self, frames: int) -> None:
        """A block of so many frames was made."""
        self._last_border_frame, self.border_frame = self.border_frame, self.border_frame + frames

    def crossed(self, quantum: Quantum, since_frame: float) -> bool:
        """Whether this border stands for a beat or bar at or after `since_frame`; without a grid each does.

        Lines are counted by the border that is nearest to them, and by the next one where blocks pass them over.
        """
        if self.grid is None or quantum == "now":
            return True
        first = max(self._last_border_frame + 0.5, since_frame - 0.5, 0.0)
        return self.grid.quantised(first, quantum) < self.border_frame + 0.5

    def loop_samples(self, most_samples: int) -> int:
        """Length of a hold's loop: a bar, or the beats of it that can be remembered; without a grid a block."""
        frame_samples = self._facts.frame_samples
        if self.grid is None:
            return min(most_samples, self._facts.block_frames * frame_samples)
        beat_samples = self.grid.beat_frames * frame_samples
        beats = max(1, min(self.grid.beats_per_bar, int(most_samples / beat_samples)))
        return min(most_samples, round(beats * beat_samples))

    def _grid_of(self, values: Mapping[str, Any], beat_frame: float | None) -> TempoGrid | None:
        if values["tempo_bpm"] is None:
            return None
        if self.grid is None:
            grid = TempoGrid(values["tempo_bpm"], self._facts.frame_rate_hz, self.border_frame, values["beats_per_bar"])
        else:
            grid = self.grid.with_meter(values["beats_per_bar"]).with_tempo(values["tempo_bpm"], self.border_frame)
        return grid if beat_frame is None else grid.with_beat_at(beat_frame)

    def _require_length(self, grid: TempoGrid, beats: float) -> None:
        frames = beats * grid.beat_frames
        if not 1.0 <= frames <= self._longest - 1:
            raise LmdmError(
                f"A block of {beats:g} beats at {grid.bpm:g} BPM is {frames:.1f} frames; it must lie between 1 and "
                f"{self._longest - 1}."
            )
        if abs(frames - self._facts.block_frames) > 1.0:
            log.info("Blocks of %.1f frames; the model was made for %d.", frames, self._facts.block_frames)
