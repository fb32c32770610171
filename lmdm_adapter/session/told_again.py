"""What each block was told, kept in the log, so that a session plays again without the sound that it heard.

A recording may begin in the middle of a session, and then the sound from its start on was kept by nobody. The frame
controls that a mode made of it are all that reached the model, and hundreds of times smaller; unlike the state of
encoders and windows they say the same to every later version.
"""

from __future__ import annotations

import base64
import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing
from lmdm_adapter.session.maker import FrameControls
from lmdm_adapter.session.modes import Mode

TOLD = "told"
"""The key in a block's record."""
FAST = 1
"""Of zlib's levels: sketches are mostly zeros and shrink at any of them, latents at none."""
MOST_BYTES = 64 << 20
"""Of one control of one block, so that a damaged log cannot unpack to all of the memory."""

Told = Mapping[str, str] | None


def told_of(controls: FrameControls | None) -> Told:
    """Frame controls as JSON, to the bit: of each its float32 values, channel by channel, in base64 of zlib."""
    return None if controls is None else {name: _packed(values) for name, values in controls.items()}


def controls_of(told: Told, *, frames: int) -> FrameControls | None:
    """What `told_of` made JSON of, `c n` each. Raises LmdmError for what is none, or of another length."""
    if told is None:
        return None
    try:
        return {name: _unpacked(text).reshape(-1, frames) for name, text in told.items()}
    except (AttributeError, TypeError, ValueError, zlib.error):
        raise LmdmError(f"What a block of {frames} frames was told cannot be read; the log is damaged.") from None


def told_in(blocks: Sequence[Mapping[str, Any]]) -> list[Told] | None:
    """What each block was told by its record in a log, or None where the log does not keep it.

    Raises LmdmError where it keeps it of some blocks alone.
    """
    kept = [block[TOLD] for block in blocks if TOLD in block]
    if kept and len(kept) < len(blocks):
        raise LmdmError(f"This log says of {len(kept)} of {len(blocks)} blocks what they were told; it is damaged.")
    return kept or None


class ToldAgain:
    """Deaf, and tells the blocks of a session, in their order, what `told` says; else as the session's own `mode`."""

    def __init__(self, mode: Mode, told: Iterable[Told]) -> None:
        self.name, self.feeds_back = mode.name, mode.feeds_back
        self._mode, self._told = mode, deque(told)

    def hear(self, samples: np.ndarray) -> None:
        """What was heard is in what was told."""

    def frame_controls(self, first_frame: int, frames: int) -> FrameControls | None:
        """What the next block was told. Raises LmdmError for what does not fit a block of `frames`."""
        return controls_of(self._told.popleft(), frames=frames)

    def turn(self, name: str, value: Any) -> None:
        """What was turned is in what was told."""

    def longest_block_frames(self, usual_frames: int) -> int | None:
        """Any: blocks are as long as they were."""
        return None

    def budget(self, timing: Timing, *, lead_seconds: float) -> Budget:
        """The session's own."""
        return self._mode.budget(timing, lead_seconds=lead_seconds)

    def settings(self) -> dict[str, Any]:
        """The session's own."""
        return self._mode.settings()

    def material(self) -> dict[str, np.ndarray]:
        """The session's own."""
        return self._mode.material()


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, "<f4").tobytes(), FAST)).decode()


def _unpacked(text: str) -> np.ndarray:
    packed = zlib.decompressobj()
    content = packed.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
    if not packed.eof:
        raise ValueError("It is cut off, or too large.")
    return np.frombuffer(content, "<f4").astype(np.float32)
