"""`delay`: the generative delay. What is played becomes a sketch, and the answer comes back a fixed time later.

("Live Music Diffusion Models", arXiv 2605.22717: the delay must be at least what the block, the features, the compute
and the decoder need.) The sound is delayed before it is sketched, by whole samples: so the answer to a sound at sample
s lies at s + delay, though a sketch knows frames only. The time before the session counts as silence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, require_delay
from lmdm_adapter.session.ears import Ears, SketchEars
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.parameters import LEAST_BPM, MOST_BPM
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import SketchFollower, following_budget

LONGEST_SECONDS = 60.0


class DelayMode(SketchFollower):
    """Answers come `delay_samples` after what they answer; `feedback` sends what is played back into what is heard.

    Frozen, it answers the last delay's worth of sketch again and again. `ears` None listens by `config`. Whether the
    delay is long enough depends on the session: `DelayMode.of` checks it. Raises LmdmError for lengths that do not fit.
    """

    name = "delay"
    feeds_back = True

    def __init__(
        self, config: SketchConfig, *, delay_samples: int, device_samples: int = 0, ears: Ears | None = None
    ) -> None:
        loop_frames = max(1, round(delay_samples / config.frame_samples))
        super().__init__(config, ears=ears or SketchEars(config), late_samples=delay_samples,
                         device_samples=device_samples, loop_frames=loop_frames)  # fmt: skip

    @staticmethod
    def of(
        config: SketchConfig, facts: Facts, plan: SessionPlan, *, delay_seconds: float, bpm: float | None = None,
        device_samples: int = 0, compute_seconds: float = 0.0, ears: Ears | None = None,
    ) -> DelayMode:  # fmt: skip
        """A delay that this session can keep. `bpm` is for the sentence alone.

        Raises LmdmError for one that is too short, with the shortest that works, or longer than a minute.
        """
        if not delay_seconds <= LONGEST_SECONDS:
            raise LmdmError(f"A delay may be {LONGEST_SECONDS:g} s at most, got {delay_seconds:g} s.")
        timing = facts.timing(device_seconds=device_samples / facts.sample_rate, compute_seconds=compute_seconds)
        budget = following_budget("delay", config, timing, lead_seconds=plan.governor.lead_seconds)
        # Budgets are sums of floats: half a sample less is still the same sample.
        require_delay(delay_seconds + 0.5 / facts.sample_rate, budget, bpm=bpm)
        return DelayMode(config, delay_samples=round(delay_seconds * facts.sample_rate), device_samples=device_samples,
                         ears=ears)  # fmt: skip

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """The shortest delay that works."""
        return following_budget("delay", self.config, timing, lead_seconds=lead_seconds)

    def settings(self) -> dict[str, Any]:
        """Its lengths in samples."""
        return {"delay_samples": self.late_samples, "device_samples": self.device_samples}

    def material(self) -> dict[str, np.ndarray]:
        """Nothing is known ahead."""
        return {}


def delay_seconds_of(beats: float, bpm: float) -> float:
    """So many beats in seconds. Raises LmdmError for a tempo outside the parameter's range, or no positive length."""
    if not LEAST_BPM <= bpm <= MOST_BPM:
        raise LmdmError(f"A tempo lies between {LEAST_BPM:g} and {MOST_BPM:g} BPM, got {bpm:g}.")
    if not 0.0 < beats < float("inf"):
        raise LmdmError(f"A delay is a positive number of beats, got {beats:g}.")
    return beats * 60.0 / bpm
