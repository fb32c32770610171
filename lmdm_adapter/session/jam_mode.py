"""`jam`: another player is heard, and the music goes with it.

The input is encoded as it comes, its harmony is told where the model hears it, and every token carries a frame of it
that was heard `lag` frames before: shifted, never cut (`controls/accompaniment.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.accompaniment import MASK, Heard, accompaniment, lag_frames_of, visible_frames_of
from lmdm_adapter.controls.declared import HARMONY
from lmdm_adapter.controls.listening import Listening, listen, listen_step
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, jam_budget, stream_budget
from lmdm_adapter.session.frozen import FrozenLoop
from lmdm_adapter.session.maker import Facts, FrameControls
from lmdm_adapter.session.plan import SessionPlan

KEPT_FRAMES = 1024
LOOP_SECONDS = 2.0
LEAST_TRAINED_VISIBILITY_SECONDS = -2.0
"""What fine-tuning draws at the least unless it is told otherwise (docs/training.md, "Frame controls")."""


@dataclass(frozen=True)
class JamTiming:
    """How late the other player is carried, and in which hops the input is encoded.

    `visibility_frames` is how much of the other player is known when a block is begun, counted from its first frame;
    live it is negative. `known` says that it is not live: the whole of it was there before. `device_samples` is the
    round trip of the sound device: input is counted from there on. Raises LmdmError for hops or devices that are none.
    """

    longest_block_frames: int
    visibility_frames: int
    hop_frames: int
    look_ahead_frames: int
    device_samples: int = 0
    known: bool = False

    def __post_init__(self) -> None:
        if self.hop_frames < 1 or self.device_samples < 0 or self.longest_block_frames < 1:
            raise LmdmError(f"A jam has blocks, hops of 1 frame or more and a device that is not early, got {self}.")

    @property
    def lag_frames(self) -> int:
        """By how many frames tokens carry the other player late."""
        return lag_frames_of(self.longest_block_frames, self.visibility_frames)

    @staticmethod
    def live(
        listening: Listening, facts: Facts, plan: SessionPlan, *, visibility_seconds: float | None = None,
        device_samples: int = 0, resampling_samples: int = 0, look_ahead_frames: int | None = None,
        longest_block_frames: int | None = None,
    ) -> JamTiming:  # fmt: skip
        """For an input that comes as it is played, in hops as long as `visibility_seconds` allows, at most a block.

        Longer hops cost less. Without a visibility it is that of the longest hop that stays within what models are
        trained for. What is heard is known `resampling_samples` after it came. Raises LmdmError for more visibility
        than a live input has.
        """
        look_ahead = listening.delay_frames if look_ahead_frames is None else look_ahead_frames
        block = longest_block_frames or facts.block_frames
        late = late_frames(facts, plan, look_ahead_frames=look_ahead, device_samples=device_samples,
                           resampling_samples=resampling_samples)  # fmt: skip
        if visibility_seconds is None:
            trained_frames = int(-LEAST_TRAINED_VISIBILITY_SECONDS * facts.frame_rate_hz)
            hop = min(block, max(1, trained_frames - late + 1))
            return JamTiming(block, -(late + hop - 1), hop, look_ahead, device_samples)
        visible = visible_frames(visibility_seconds, facts)
        hop = min(block, 1 - late - visible)
        if hop < 1:
            raise LmdmError(
                f"Of a live input {visibility_seconds:g} s cannot be known when a block is begun: lead, device, "
                f"encoder and decoder take {late / facts.frame_rate_hz:.3f} s, so the most is "
                f"{-late / facts.frame_rate_hz:.3f} s."
            )
        return JamTiming(block, visible, hop, look_ahead, device_samples)

    @staticmethod
    def ahead(listening: Listening, facts: Facts, *, visibility_seconds: float = 0.0) -> JamTiming:
        """For an accompaniment that is known from the beginning, such as a file, seen that far ahead."""
        block, look_ahead = facts.block_frames, listening.delay_frames
        return JamTiming(block, visible_frames(visibility_seconds, facts), block, look_ahead, known=True)


def untrained_line(timing: JamTiming, facts: Facts) -> str | None:
    """One sentence for a jam that sees less of the other player than models are trained for; None where it does not."""
    seconds = timing.visibility_frames / facts.frame_rate_hz
    if seconds >= LEAST_TRAINED_VISIBILITY_SECONDS - 0.5 / facts.frame_rate_hz:
        return None
    return (
        f"A visibility of {seconds:.2f} s is beyond the {LEAST_TRAINED_VISIBILITY_SECONDS:g} s that models are trained "
        f"for unless they were told otherwise; a shorter lead or a larger visibility brings the other player nearer."
    )


def late_frames(
    facts: Facts, plan: SessionPlan, *, look_ahead_frames: int, device_samples: int = 0, resampling_samples: int = 0
) -> int:
    """How long before a block begins the last frame was played whose latent is known then, with hops of a frame.

    Half a frame is added, because borders may lie between the frames of the clock after a held loop.
    """
    ahead_seconds = plan.governor.lead_seconds + (device_samples + resampling_samples) / facts.sample_rate
    return math.ceil(ahead_seconds * facts.frame_rate_hz + 0.5) + facts.hold_back_frames + look_ahead_frames


def visible_frames(visibility_seconds: float, facts: Facts) -> int:
    """Whole frames of a visibility. Raises LmdmError beyond a minute."""
    if not -60.0 <= visibility_seconds <= 60.0:
        raise LmdmError(f"Visibility lies between -60 and 60 s, got {visibility_seconds:g} s.")
    return visible_frames_of(visibility_seconds, facts.frame_rate_hz)


class JamMode:
    """Go with another player: the live input, or what is `known` of them, whose frame 0 is the session's.

    `accompaniment_gain` says how much it is listened to, `harmony_gain` how much to its harmony; frozen, the last
    `loop_frames` that were carried go on and on.
    Raises LmdmError for something known without a timing that says so, or the other way round.
    """

    name = "jam"
    feeds_back = False

    def __init__(
        self, listening: Listening, timing: JamTiming, *, known: Heard | None = None, loop_frames: int | None = None
    ) -> None:
        if (known is not None) != timing.known:
            raise LmdmError("A jam hears either its live input or what is known ahead; its timing says which.")
        self.listening, self.codec, self.timing, self.known = listening, listening.codec, timing, known
        self.loop_frames = loop_frames or max(1, round(LOOP_SECONDS * self.codec.frame_rate_hz))
        kept = KEPT_FRAMES + abs(timing.lag_frames) + timing.longest_block_frames + self.loop_frames
        self.heard = listening.nothing(kept_frames=kept) if known is None else replace(
            known, kept_frames=known.end_frame + 1
        )  # fmt: skip
        self._heard_until = listen(listening, look_ahead_frames=timing.look_ahead_frames, hop_frames=timing.hop_frames)
        self._skip = timing.device_samples
        self._gains, self._freeze = dict.fromkeys(("accompaniment_gain", "harmony_gain"), 1.0), False
        self._loop: tuple[FrozenLoop, dict[str, Tensor]] | None = None

    def hear(self, samples: np.ndarray) -> None:
        """Hear the next samples of the live input, `s ch`; of one that is known ahead nothing more is heard."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        if self.known is not None or skipped == len(samples):
            return
        audio = Audio(np.ascontiguousarray(samples[skipped:].T), self.codec.sample_rate)
        latents, harmony, self._heard_until = listen_step(self.listening, self._heard_until, audio)
        if latents.shape[-1]:
            self.heard = self.heard.with_latents(latents, harmony)

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """What the tokens of the block carry of the other player; None at gain 0."""
        self._follow_freeze(first_frame)
        if self._gains["accompaniment_gain"] == 0.0:
            return None
        return {
            name: values.numpy() * np.float32(self._gain_of(name))
            for name, values in self._of(first_frame, frames).items()
        }

    def turn(self, name: str, value: Any) -> None:
        """Accompaniment gain, the gain of its harmony, and freeze."""
        if name in self._gains:
            self._gains[name] = value
        elif name == "freeze":
            self._freeze = value

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Those that the lag was worked out for; of a player who is known ahead, any."""
        return None if self.timing.known else self.timing.longest_block_frames

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """From a sound to the first music that heard it; of a player who is known ahead, from a knob to hearing it."""
        if self.timing.known:
            return Budget(self.name, stream_budget(timing, lead_seconds=lead_seconds).parts)
        return jam_timing_budget(self.timing, timing)

    def settings(self) -> dict[str, Any]:
        """Its timing and the length of its loop."""
        return {"timing": dict(vars(self.timing)), "loop_frames": self.loop_frames}

    def material(self) -> dict[str, np.ndarray]:
        """What is known ahead: latents, and harmony where it is heard."""
        if self.known is None:
            return {}
        told = {"latents": self.heard.latents.numpy(), "harmony": self.heard.harmony.numpy()}
        return {name: values for name, values in told.items() if len(values)}

    def _gain_of(self, name: str) -> float:
        own = self._gains["harmony_gain"] if name == HARMONY else 1.0
        return own * self._gains["accompaniment_gain"]

    def _of(self, first_frame: int, frames: int) -> dict[str, Tensor]:
        if self._loop is not None:
            loop, controls = self._loop
            places = torch.from_numpy(loop.places(first_frame, frames))
            return {name: values[:, places] for name, values in controls.items()}
        return accompaniment(self.heard, first_frame, frames, lag_frames=self.timing.lag_frames,
                             frame_rate_hz=self.codec.frame_rate_hz)  # fmt: skip

    def _follow_freeze(self, first_frame: int) -> None:
        if not self._freeze:
            self._loop = None
        elif self._loop is None:
            loop = FrozenLoop(first_frame, self.loop_frames)
            controls = self._of(loop.first_frame, loop.length_frames)
            if controls[MASK].any():
                self._loop = loop, controls


def jam_timing_budget(jam: JamTiming, timing: Timing) -> Budget:
    """The latency of a live jam: all of its lag, part by part.

    The slack is the lead, in which is computed, and the hop.
    """
    look_ahead_seconds = jam.look_ahead_frames / timing.frame_rate_hz
    blocks = Timing(timing.frame_rate_hz, jam.longest_block_frames, timing.hold_back_frames, timing.hearing_seconds)
    rest_seconds = -jam.visibility_frames / timing.frame_rate_hz
    slack_seconds = rest_seconds - look_ahead_seconds - timing.hold_back_seconds - timing.hearing_seconds
    return jam_budget(
        blocks, encoder_look_ahead_seconds=look_ahead_seconds, slack_seconds=max(0.0, slack_seconds)
    )  # fmt: skip
