"""What a session is for: a mode hears the live input and says what each block is told, frame by frame."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, delay_budget, stream_budget
from lmdm_adapter.session.maker import FrameControls


class Mode(Protocol):
    """One way to play. All its methods are called from the thread that makes the music, between blocks."""

    name: str
    feeds_back: bool
    """Whether the parameter `feedback` sends what is played back into what is heard, rather than into echoes."""

    def hear(self, samples: np.ndarray) -> None:
        """The next samples of the live input, `s ch` at the session's rate; the first ever is sample 0."""
        ...

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """What the block of `frames` is told, `c n` each; it begins at `first_frame` of the session's clock.

        The session's clock counts held loops too, so it is also the clock of the input.
        """
        ...

    def turn(self, name: str, value: Any) -> None:
        """A model parameter changed; it counts from the next block on. Raises LmdmError for a value it cannot play."""
        ...

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """The longest block whose frames it can all tell of, on a tempo grid too; None is any.

        Whatever hears a live input is as late as its blocks are long; `usual_frames` are those of the model.
        """
        ...

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """The mode's latency, part by part."""
        ...

    def settings(self) -> dict[str, Any]:
        """What it was made with, as JSON, for the log."""
        ...

    def material(self) -> dict[str, np.ndarray]:
        """What it knew before the session began, for the recording."""
        ...


class StreamMode:
    """Endless music from prompts alone: no frame controls, deaf to the input."""

    name = "stream"
    feeds_back = False

    def hear(self, samples: np.ndarray) -> None:
        """Nothing is listened to."""

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """None."""
        return None

    def turn(self, name: str, value: Any) -> None:
        """Prompts reach the model without the mode."""

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Any."""
        return None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """From turning a knob to hearing it."""
        return stream_budget(timing, lead_seconds=lead_seconds)

    def settings(self) -> dict[str, Any]:
        """None."""
        return {}

    def material(self) -> dict[str, np.ndarray]:
        """None."""
        return {}


class EchoMode:
    """The input itself as a frame control, `delay_frames` late: for tests of everything around a live input.

    The control "echo" has one channel for every sample and channel of a frame. Frames that were not heard (yet, or any
    more) are silent. Raises LmdmError for a negative delay.
    """

    name = "echo"
    feeds_back = False

    def __init__(self, *, channels: int, frame_samples: int, delay_frames: int, kept_frames: int = 4096) -> None:
        if delay_frames < 0 or kept_frames <= delay_frames:
            raise LmdmError(f"The echo's delay must lie between 0 and {kept_frames - 1} frames, got {delay_frames}.")
        self.delay_frames, self._frame_samples = delay_frames, frame_samples
        self._heard_samples = 0
        self._kept = np.zeros((kept_frames * frame_samples, channels), np.float32)

    def hear(self, samples: np.ndarray) -> None:
        """Remember what comes; what is older than `kept_frames` is forgotten."""
        size = len(self._kept)
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            self._kept[(self._heard_samples + np.arange(len(piece))) % size] = piece
            self._heard_samples += len(piece)

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """`(frame_samples ch) n`: each frame holds the input of `delay_frames` before."""
        first = (first_frame - self.delay_frames) * self._frame_samples
        index = first + np.arange(frames * self._frame_samples)
        there = (index >= max(0, self._heard_samples - len(self._kept))) & (index < self._heard_samples)
        samples = np.where(there[:, None], self._kept[index % len(self._kept)], np.float32(0.0))
        return {"echo": np.ascontiguousarray(samples.reshape(frames, -1).T)}

    def turn(self, name: str, value: Any) -> None:
        """It has no knobs."""

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Any: what is not heard is silence."""
        return None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """That of a delay without features."""
        return delay_budget(timing, lead_seconds=lead_seconds, feature_look_ahead_seconds=0.0)

    def settings(self) -> dict[str, Any]:
        """Its delay."""
        return {"delay_frames": self.delay_frames}

    def material(self) -> dict[str, np.ndarray]:
        """None."""
        return {}
