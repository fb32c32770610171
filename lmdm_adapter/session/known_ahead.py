"""Modes for what is known before it sounds: curves that were drawn, and sounds that begin again when they are over.

What a block is told is worked out when the block is made, and only as far as it sees: nobody waits for a long file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.session.budget import Budget, Timing, stream_budget
from lmdm_adapter.session.curves import Curves, drawn_frames
from lmdm_adapter.session.ears import Ears, SketchEars
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import Facts, FrameControls
from lmdm_adapter.session.parameters import CURVES
from lmdm_adapter.session.sketch_line import SketchLine
from lmdm_adapter.session.sketch_mode import LOOP_SECONDS, SketchFollower

FOLLOWS, BY_CURVES, BY_SOUND = "follows", "curves", "sound"
"""How the settings of these modes say what they follow; their sound is the material of that name."""


class SketchAhead(SketchFollower, ABC):
    """What sketches that are known ahead share: frame n of the session carries frame n of the sketch."""

    name = "sketch"
    feeds_back = False

    def __init__(self, config: SketchConfig, *, ears: Ears | None = None, loop_frames: int | None = None) -> None:
        loop = loop_frames or max(1, round(LOOP_SECONDS * config.sample_rate / config.frame_samples))
        super().__init__(config, ears=ears, late_samples=0, device_samples=0, loop_frames=loop)

    def hear(self, samples: np.ndarray) -> None:
        """The live input is not listened to."""

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """The sketch of the block, as loose and as strong as the knobs say; None at gain 0."""
        self._know(first_frame, first_frame + frames + self.config.widest_frames // 2)
        return super().frame_controls(first_frame, frames)

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Any: it is all there."""
        return None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """From turning a knob, or drawing, to hearing it."""
        return Budget("sketch", stream_budget(timing, lead_seconds=lead_seconds).parts)

    def settings(self) -> dict[str, Any]:
        """The length of its loop."""
        return {"loop_frames": self.loop_frames}

    def material(self) -> dict[str, np.ndarray]:
        """None."""
        return {}

    @abstractmethod
    def _know(self, first_frame: int, end_frame: int) -> None:
        """Put the frames up to `end_frame` on the line; the block begins at `first_frame`."""


class DrawnMode(SketchAhead):
    """Follow curves that were drawn, again and again; the parameter `curves` draws them anew, from the next block."""

    def __init__(self, config: SketchConfig, curves: Curves, *, loop_frames: int | None = None) -> None:
        super().__init__(config, loop_frames=loop_frames)
        self.curves = self._on_the_line = self._begun = curves

    def turn(self, name: str, value: Any) -> None:
        """The curves, as JSON, besides every sketch's knobs; None are those that it began with."""
        if name == CURVES.name:
            self.curves = self._begun if value is None else Curves.from_json(value)
        super().turn(name, value)

    def settings(self) -> dict[str, Any]:
        """The curves that it began with."""
        return {**super().settings(), FOLLOWS: BY_CURVES, "curves": self._begun.to_json()}

    def _know(self, first_frame: int, end_frame: int) -> None:
        curves = self.curves
        if curves is not self._on_the_line:
            self._on_the_line = curves
            # The new curves count from the block on, and are smoothed as if they had always been there.
            start = first_frame - self.config.widest_frames // 2 - self.loop_frames
            self.line = SketchLine(widest_frames=self.config.widest_frames, kept_frames=self.line.kept_frames,
                                   first_frame=max(0, start))  # fmt: skip
        if (missing := end_frame - self.line.end_frame) > 0:
            self.line.append(drawn_frames(self.config, curves, self.line.end_frame, missing))


class AheadSketch(SketchAhead):
    """Follow the sketch of a `sound` (`s ch`, at the config's rate) that is known from its beginning and repeats.

    Raises LmdmError without the extra `[sketch]`, and for a sound without samples.
    """

    def __init__(self, config: SketchConfig, sound: np.ndarray, *, loop_frames: int | None = None) -> None:
        super().__init__(config, ears=SketchEars(config), loop_frames=loop_frames)
        self._sound = LoopedSound(sound)

    def settings(self) -> dict[str, Any]:
        """The length of its loop, and that it follows a sound."""
        return {**super().settings(), FOLLOWS: BY_SOUND}

    def material(self) -> dict[str, np.ndarray]:
        """The sound."""
        return {BY_SOUND: self._sound.samples}

    def _know(self, first_frame: int, end_frame: int) -> None:
        while (missing := end_frame - self.line.end_frame) > 0:
            # The follower hears what this mode is deaf to.
            SketchFollower.hear(self, self._sound.next(missing * self.config.frame_samples))


class AheadJam(JamMode):
    """Go with a `sound` (`s ch`, of the codec's rate and channels) that is known from its beginning and repeats.

    It is encoded block by block, as far ahead as `timing` lets the model see. Raises LmdmError for a sound without
    samples.
    """

    def __init__(
        self, listening: Listening, timing: JamTiming, sound: np.ndarray, *, loop_frames: int | None = None
    ) -> None:  # fmt: skip
        super().__init__(listening, timing, loop_frames=loop_frames)
        self._sound = LoopedSound(sound)

    @staticmethod
    def seeing(
        listening: Listening, facts: Facts, sound: np.ndarray, *, visibility_seconds: float = 0.0
    ) -> AheadJam:  # fmt: skip
        """See so far ahead. Raises LmdmError beyond a minute, and for a sound without samples."""
        # Its latents are not known ahead, they are made on the way.
        timing = replace(JamTiming.ahead(listening, facts, visibility_seconds=visibility_seconds), known=False)
        return AheadJam(listening, timing, sound)

    def settings(self) -> dict[str, Any]:
        """As every jam's, and that it follows a sound."""
        return {**super().settings(), FOLLOWS: BY_SOUND}

    def material(self) -> dict[str, np.ndarray]:
        """The sound."""
        return {BY_SOUND: self._sound.samples}

    def hear(self, samples: np.ndarray) -> None:
        """The live input is not listened to."""

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """What the tokens of the block carry of the sound; None at gain 0."""
        while self.heard.end_frame < first_frame + frames - self.timing.lag_frames:
            super().hear(self._sound.next(self.timing.hop_frames * self.codec.frame_samples))
        return super().frame_controls(first_frame, frames)

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Any: it is all there."""
        return None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """From turning a knob to hearing it: the sound itself is waited for by nobody."""
        return Budget("jam", stream_budget(timing, lead_seconds=lead_seconds).parts)
