"""The tempo grid in frames: where beats and bars lie, and block borders that follow them for ever.

Beats do not fall on frames (124 BPM is 10.42 frames a beat at 44100/2048 frames a second). A border is the frame
nearest to its line of the grid, and lines are counted from one origin, so nothing adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.parameters import LEAST_BPM, MOST_BPM
from lmdm_adapter.spec import require_choice

Quantum = Literal["now", "beat", "bar"]

BLOCK_BEATS = tuple(2.0**power for power in range(-4, 7))
# Rounding of a beat's place must not push an event that lies on it to the next one.
ON_THE_LINE_FRAMES = 1e-6


@dataclass(frozen=True)
class TempoGrid:
    """Beats of `bpm`, one of them at `origin_frames` and a bar's first there too; `frame_rate_hz` frames a second.

    Raises LmdmError for a tempo out of range, or a bar without beats.
    """

    bpm: float
    frame_rate_hz: float
    origin_frames: float = 0.0
    beats_per_bar: int = 4

    def __post_init__(self) -> None:
        if not LEAST_BPM <= self.bpm <= MOST_BPM:
            raise LmdmError(f"The tempo must lie between {LEAST_BPM:g} and {MOST_BPM:g} BPM, got {self.bpm:g}.")
        if self.beats_per_bar < 1 or self.frame_rate_hz <= 0:
            raise LmdmError(f"A grid needs beats and frames, got {self}.")

    @property
    def beat_frames(self) -> float:
        """Length of a beat in frames."""
        return 60.0 / self.bpm * self.frame_rate_hz

    @property
    def bar_frames(self) -> float:
        """Length of a bar in frames."""
        return self.beat_frames * self.beats_per_bar

    def nearest_block_beats(self, block_frames: int, *, most_frames: float = math.inf) -> float:
        """The power of two in beats whose length is nearest to `block_frames`, as a ratio.

        Of those up to `most_frames`; where none is so short it is the shortest.
        """
        fitting = [beats for beats in BLOCK_BEATS if beats * self.beat_frames <= most_frames] or BLOCK_BEATS[:1]
        return min(fitting, key=lambda beats: abs(math.log(beats * self.beat_frames / block_frames)))

    def quantised(self, frame: float, quantum: Quantum) -> float:
        """The first beat or bar at or after `frame`; "now" leaves it. Raises LmdmError for another quantum."""
        require_choice("quantum", quantum, Quantum)
        if quantum == "now":
            return frame
        unit = self.beat_frames if quantum == "beat" else self.bar_frames
        return self.origin_frames + math.ceil((frame - ON_THE_LINE_FRAMES - self.origin_frames) / unit) * unit

    def line(self, index: int, block_beats: float) -> float:
        """Where line `index` of a grid of blocks lies, in frames."""
        return self.origin_frames + index * block_beats * self.beat_frames

    def next_border(self, border: int, block_beats: float) -> int:
        """The border after `border`: the frame nearest to the next line, if blocks of usual length get there.

        From a border on the grid, lengths differ by one frame and every border is within half a frame of its line.
        From one off the grid (after a jump of tempo or phase) blocks are a frame longer or shorter until it is met.
        Raises LmdmError for blocks below one frame.
        """
        length = block_beats * self.beat_frames
        if length < 1.0:
            raise LmdmError(
                f"{block_beats:g} beats at {self.bpm:g} BPM are {length:.2f} frames; a block has at least 1."
            )
        index = round((border - self.origin_frames) / length) + 1
        target = math.floor(self.line(index, block_beats) + 0.5)
        usual = math.floor(length + 0.5)
        return border + min(max(target - border, usual - 1, 1), usual + 1)

    def longest_block_frames(self, block_beats: float) -> int:
        """The longest block between borders on the grid."""
        return math.ceil(block_beats * self.beat_frames - ON_THE_LINE_FRAMES)

    def with_meter(self, beats_per_bar: int) -> TempoGrid:
        """The grid with bars of another length; the origin stays a bar's first beat."""
        return replace(self, beats_per_bar=beats_per_bar)

    def with_tempo(self, bpm: float, frame: float) -> TempoGrid:
        """The grid that goes on at `bpm` from `frame`, its phase within the bar kept."""
        if bpm == self.bpm:
            return self
        bars = (frame - self.origin_frames) / self.bar_frames
        slower = replace(self, bpm=bpm)
        return replace(slower, origin_frames=frame - (bars - math.floor(bars)) * slower.bar_frames)

    def with_beat_at(self, frame: float) -> TempoGrid:
        """The grid moved by less than half a beat, so that a beat falls on `frame`."""
        beats = (frame - self.origin_frames) / self.beat_frames
        return replace(self, origin_frames=self.origin_frames + (beats - round(beats)) * self.beat_frames)
