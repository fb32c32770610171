"""`sketch`: the music follows a sketch that is known ahead (a file, a drawing), or one that is played live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmdm_adapter.controls.declared import SKETCH
from lmdm_adapter.controls.sketch import Sketch, SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, delay_budget, stream_budget
from lmdm_adapter.session.ears import Ears, SketchEars
from lmdm_adapter.session.maker import Facts, FrameControls
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_line import SketchLine

KEPT_FRAMES = 2048
LOOP_SECONDS = 2.0
FEATURE_GAINS = {f"{name.removeprefix('sketch_')}_gain": name for name in SKETCH}
"""The live gain of each feature; gains of the sketch and of a feature in it multiply."""


class SketchFollower:
    """What the modes that follow a sketch share: a line of frames, and the knobs sketch gain, tightness and freeze.

    The sound that is heard comes `late_samples` later into the line than it was heard: the token of frame n carries the
    sketch of what was heard that much before. Frozen, it repeats the last `loop_frames`. `device_samples` is the round
    trip of the sound device, from what is played to what is heard; what was heard is counted from that on.
    """

    def __init__(
        self, config: SketchConfig, *, ears: Ears | None, late_samples: int, device_samples: int, loop_frames: int,
        without: Sequence[str] = (), longest_block_frames: int = 0,
    ) -> None:  # fmt: skip
        if not 0 <= device_samples <= late_samples or loop_frames < 1:
            raise LmdmError(
                f"A sketch that is {late_samples} samples late, a device that is {device_samples} late and a loop of "
                f"{loop_frames} frames do not fit together."
            )
        self.config, self.late_samples, self.device_samples = config, late_samples, device_samples
        self.loop_frames, self.without, self.ears = loop_frames, tuple(without), ears
        self._longest_block_frames = longest_block_frames
        self.line = self.line_from(0)
        self._gains, self._tightness, self._freeze = dict.fromkeys(("sketch_gain", *FEATURE_GAINS), 1.0), 1.0, False
        if ears is not None and late_samples > device_samples:
            self.hear(np.zeros((late_samples - device_samples, 1), np.float32))  # what was before the session

    def line_from(self, first_frame: int) -> SketchLine:
        """An empty line that begins at `first_frame`, with room for what these lengths need."""
        frames = self.loop_frames + self.late_samples // self.config.frame_samples + self._longest_block_frames
        return SketchLine(
            widest_frames=self.config.widest_frames, kept_frames=KEPT_FRAMES + frames, first_frame=first_frame
        )  # fmt: skip

    def hear(self, samples: np.ndarray) -> None:
        """The next samples of the live input, `s ch`; without ears there is nothing to hear with."""
        if self.ears is None:
            return
        if (sketch := self.ears.push(samples)).frames:
            self.line.append(sketch.without(*self.without))

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """The sketch of the block, as loose and as strong as the knobs say, but for features of gain 0; or None."""
        self._follow_freeze(first_frame)
        gains = {name: self._gains["sketch_gain"] * self._gains[knob] for knob, name in FEATURE_GAINS.items()}
        if not any(gains.values()):
            return None
        controls = self.line.read(first_frame, frames, tightness=self._tightness)
        return {name: values * np.float32(gains[name]) for name, values in controls.items() if gains[name]} or None

    def turn(self, name: str, value: Any) -> None:
        """Gains of the sketch and of its features, tightness and freeze."""
        if name in self._gains:
            self._gains[name] = value
        elif name == "tightness":
            self._tightness = value
        elif name == "freeze":
            self._freeze = value

    def _follow_freeze(self, first_frame: int) -> None:
        if self._freeze and not self.line.frozen:
            self.line.freeze(first_frame, self.loop_frames)
        elif not self._freeze:
            self.line.thaw()


class SketchMode(SketchFollower):
    """Follow a sketch: `sketch` is known ahead, its frame 0 is the session's; or it is that of the live input.

    A live one is carried `late_samples` late, at least the mode's budget (`following` works it out). `without` names
    features that are left to the model. Raises LmdmError for lengths that do not fit together.
    """

    name = "sketch"
    feeds_back = False

    def __init__(
        self, config: SketchConfig, *, sketch: Sketch | None = None, late_samples: int = 0, device_samples: int = 0,
        loop_frames: int | None = None, without: Sequence[str] = (),
    ) -> None:  # fmt: skip
        loop = loop_frames or max(1, round(LOOP_SECONDS * config.sample_rate / config.frame_samples))
        ears = SketchEars(config) if sketch is None else None
        super().__init__(config, ears=ears, late_samples=late_samples, device_samples=device_samples, loop_frames=loop,
                         without=without, longest_block_frames=0 if sketch is None else sketch.frames)  # fmt: skip
        self.sketch = None if sketch is None else sketch.without(*without)
        if self.sketch is not None:
            self.line.append(self.sketch)

    @staticmethod
    def following(
        config: SketchConfig, facts: Facts, plan: SessionPlan, *, device_samples: int = 0, resampling_samples: int = 0,
        without: Sequence[str] = (),
    ) -> SketchMode:  # fmt: skip
        """Follow the live input, known `resampling_samples` after it came, as closely as the session can."""
        timing = facts.timing(device_seconds=device_samples / facts.sample_rate,
                              resampling_seconds=resampling_samples / facts.sample_rate)  # fmt: skip
        budget = following_budget("sketch", config, timing, lead_seconds=plan.governor.lead_seconds)
        late_frames = -(-round(budget.total_seconds * facts.sample_rate) // facts.frame_samples)
        return SketchMode(config, late_samples=late_frames * facts.frame_samples, device_samples=device_samples,
                          without=without)  # fmt: skip

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """A live sketch comes in time for the usual ones."""
        return usual_frames if self.sketch is None else None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """From turning a knob to hearing it; of a live sketch, from a sound to the music that follows it."""
        if self.sketch is not None:
            return Budget("sketch", stream_budget(timing, lead_seconds=lead_seconds).parts)
        return following_budget("sketch", self.config, timing, lead_seconds=lead_seconds)

    def settings(self) -> dict[str, Any]:
        """Its lengths, and the features that it leaves out."""
        return {"late_samples": self.late_samples, "device_samples": self.device_samples,
                "loop_frames": self.loop_frames, "without": list(self.without)}  # fmt: skip

    def material(self) -> dict[str, np.ndarray]:
        """The sketch that is known ahead, by the names of its controls."""
        return {} if self.sketch is None else {n: v.numpy() for n, v in self.sketch.controls().items()}


def following_budget(mode: str, config: SketchConfig, timing: Timing, *, lead_seconds: float) -> Budget:
    """From a sound to the music that follows its sketch; what has to be computed is computed within the lead."""
    ahead_seconds = (config.delay_frames + config.widest_frames // 2) / timing.frame_rate_hz
    return Budget(mode, delay_budget(timing, lead_seconds=lead_seconds, feature_look_ahead_seconds=ahead_seconds).parts)
