"""`delay`: the generative delay. What is played becomes a sketch, and the answer comes back a fixed time later.

("Live Music Diffusion Models", arXiv 2605.22717: the delay must be at least what the block, the features, the compute
and the decoder need.) The sound is delayed before it is sketched, by whole samples: so the answer to a sound at sample
s lies at s + delay, though a sketch knows frames only. The time before the session counts as silence. The delay may be
turned while the music plays: what was heard is then sketched anew, from the new place on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, require_delay
from lmdm_adapter.session.ears import Ears, SketchEars
from lmdm_adapter.session.maker import Facts, FrameControls
from lmdm_adapter.session.parameters import LEAST_BPM, LONGEST_DELAY_SECONDS, MOST_BPM
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.recent_sound import RecentSound
from lmdm_adapter.session.sketch_mode import SketchFollower, following_budget

LONGEST_SECONDS = 60.0
MARGIN_SECONDS = 5.0
"""Of what was heard, two of the longest delays are kept, one of them for a freeze, and this for windows."""


class DelayMode(SketchFollower):
    """Answers come `delay_samples` after what they answer; `feedback` sends what is played back into what is heard.

    Frozen, it answers the last delay's worth of sketch again and again. `ears` None listens by `config`. Whether the
    delay is long enough depends on the session: `DelayMode.of` checks it, and one that is turned later must be at least
    `least_samples`. Raises LmdmError for lengths that do not fit.
    """

    name = "delay"
    feeds_back = True

    def __init__(
        self, config: SketchConfig, *, delay_samples: int, device_samples: int = 0, least_samples: int = 0,
        ears: Ears | None = None,
    ) -> None:  # fmt: skip
        longest_samples = max(delay_samples, round(LONGEST_DELAY_SECONDS * config.sample_rate))
        self._recent = RecentSound(2 * longest_samples + round(MARGIN_SECONDS * config.sample_rate))
        self._begun_samples = self._asked_samples = delay_samples
        self.least_samples = least_samples
        super().__init__(config, ears=ears or SketchEars(config), late_samples=delay_samples,
                         device_samples=device_samples, loop_frames=_loop_frames(config, delay_samples))  # fmt: skip

    @staticmethod
    def of(
        config: SketchConfig, facts: Facts, plan: SessionPlan, *, delay_seconds: float, bpm: float | None = None,
        device_samples: int = 0, resampling_samples: int = 0, compute_seconds: float = 0.0, ears: Ears | None = None,
    ) -> DelayMode:  # fmt: skip
        """A delay that this session can keep. `bpm` is for the sentence alone.

        What is heard is counted from `device_samples` on, and known `resampling_samples` after it came.

        Raises LmdmError for one that is too short, with the shortest that works, or longer than a minute.
        """
        if not delay_seconds <= LONGEST_SECONDS:
            raise LmdmError(f"A delay may be {LONGEST_SECONDS:g} s at most, got {delay_seconds:g} s.")
        timing = facts.timing(
            device_seconds=device_samples / facts.sample_rate, compute_seconds=compute_seconds,
            resampling_seconds=resampling_samples / facts.sample_rate,
        )  # fmt: skip
        budget = following_budget("delay", config, timing, lead_seconds=plan.governor.lead_seconds)
        # Budgets are sums of floats: half a sample less is still the same sample.
        require_delay(delay_seconds + 0.5 / facts.sample_rate, budget, bpm=bpm)
        least_samples = math.ceil(budget.total_seconds * facts.sample_rate - 0.5)
        return DelayMode(config, delay_samples=round(delay_seconds * facts.sample_rate), device_samples=device_samples,
                         least_samples=least_samples, ears=ears)  # fmt: skip

    def hear(self, samples: np.ndarray) -> None:
        """The next samples of the live input, `s ch`; the newest are kept, for another delay."""
        self._recent.append(samples)
        super().hear(samples)

    def turn(self, name: str, value: Any) -> None:
        """The delay, sketch gain, tightness and freeze. Raises LmdmError for a delay that this session cannot keep."""
        if name == "answer_seconds":
            self._asked_samples = self._allowed(value)
        super().turn(name, value)

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """As every follower's; a new delay counts from `first_frame` on, or from the end of a freeze."""
        if self._asked_samples != self.late_samples and not self._freeze:
            self._move(first_frame)
        return super().frame_controls(first_frame, frames)

    def _allowed(self, seconds: float | None) -> int:
        if seconds is None:
            return self._begun_samples
        samples, rate = round(seconds * self.config.sample_rate), self.config.sample_rate
        if samples < max(self.least_samples, self.device_samples):
            shortest = max(self.least_samples, self.device_samples) / rate
            raise LmdmError(
                f"A delay of {seconds:.3f} s is too short here; the shortest that works is {shortest:.3f} s."
            )
        return samples

    def _move(self, first_frame: int) -> None:
        """Sketch anew what the frames from `first_frame` on answer, and before it what windows and a freeze need."""
        assert self.ears is not None, "a delay always listens"
        self.late_samples = self._asked_samples
        self.loop_frames = _loop_frames(self.config, self.late_samples)
        self.ears = self.ears.fresh()
        before = self.ears.past_frames + self.config.widest_frames // 2 + self.loop_frames
        begin = max(0, first_frame - before)
        self.line = self.line_from(begin)
        first = begin * self.config.frame_samples - self.late_samples + self.device_samples
        # Heard counts start behind the silence that the first delay began with.
        super().hear(self._recent.since(first + self._begun_samples - self.device_samples))

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Those that the shortest delay was worked out for."""
        return usual_frames

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """The shortest delay that works."""
        return following_budget("delay", self.config, timing, lead_seconds=lead_seconds)

    def settings(self) -> dict[str, Any]:
        """Its lengths in samples."""
        return {"delay_samples": self._begun_samples, "device_samples": self.device_samples,
                "least_samples": self.least_samples}  # fmt: skip

    def material(self) -> dict[str, np.ndarray]:
        """Nothing is known ahead."""
        return {}


def _loop_frames(config: SketchConfig, delay_samples: int) -> int:
    """What a freeze repeats: the delay, in whole frames."""
    return max(1, round(delay_samples / config.frame_samples))


def delay_seconds_of(beats: float, bpm: float) -> float:
    """So many beats in seconds. Raises LmdmError for a tempo outside the parameter's range, or no positive length."""
    if not LEAST_BPM <= bpm <= MOST_BPM:
        raise LmdmError(f"A tempo lies between {LEAST_BPM:g} and {MOST_BPM:g} BPM, got {bpm:g}.")
    if not 0.0 < beats < float("inf"):
        raise LmdmError(f"A delay is a positive number of beats, got {beats:g}.")
    return beats * 60.0 / bpm
