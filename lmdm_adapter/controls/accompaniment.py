"""Another player's latents as frame controls: shifted, never cut.

Token n carries the accompaniment's frame n - lag. Its finished blocks carry what they carried, so cached keys and
values never go stale, and every heard frame is seen exactly once, whatever the lengths of blocks. One more channel
says how late that is, so that one model serves every latency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lmdm_adapter.controls.declared import ACCOMPANIMENT
from lmdm_adapter.errors import LmdmError

MASK, LATENTS, LAG = ACCOMPANIMENT


@dataclass(frozen=True, eq=False)
class Heard:
    """What was heard of the other player: latents `c n`, the newest of them, whose first is frame `first_frame`.

    Frames are counted as the stream counts them. The player came in at frame `origin_frame`; what lies between that and
    `first_frame` was heard and is forgotten. At most `kept_frames` are kept, so memory is constant.
    Raises LmdmError for latents that are not `c n`, or room for less than a frame.
    """

    latents: Tensor
    first_frame: int = 0
    origin_frame: int = 0
    kept_frames: int = 1024

    def __post_init__(self) -> None:
        if self.latents.ndim != 2:
            raise LmdmError(f"Heard latents have shape (channels, frames), got {tuple(self.latents.shape)}.")
        if self.kept_frames < 1 or self.origin_frame > self.first_frame:
            raise LmdmError(f"At least 1 frame is kept, and none before the first one was heard; got {self._place()}.")

    @staticmethod
    def nothing(latent_channels: int, *, from_frame: int = 0, kept_frames: int = 1024) -> Heard:
        """Nothing yet; the first frame to be heard is `from_frame`."""
        return Heard(torch.zeros(latent_channels, 0), from_frame, from_frame, kept_frames)

    @property
    def end_frame(self) -> int:
        """The first frame that was not heard yet."""
        return self.first_frame + self.latents.shape[-1]

    def with_latents(self, latents: Tensor) -> Heard:
        """With the next frames `c n` at its end, and only the newest `kept_frames` of all.

        Raises LmdmError for latents of other channels, and NaN or infinity.
        """
        if latents.ndim != 2 or latents.shape[0] != self.latents.shape[0]:
            raise LmdmError(
                f"This accompaniment has latents of shape ({self.latents.shape[0]}, frames), "
                f"got {tuple(latents.shape)}."
            )
        if not torch.isfinite(latents).all():
            raise LmdmError("The latents of the accompaniment hold NaN or infinity; give silence where there is none.")
        joined = torch.cat([self.latents, latents.to(self.latents)], dim=-1)
        kept = joined[:, max(0, joined.shape[-1] - self.kept_frames) :].clone()  # a view would keep the rest alive
        first = self.end_frame + latents.shape[-1] - kept.shape[-1]
        return Heard(kept, first, self.origin_frame, self.kept_frames)

    def frames(self, first_frame: int, frames: int) -> tuple[Tensor, Tensor]:
        """Latents `c n` of frames from `first_frame` on, zeros where there are none, and `1 n` that says where.

        Raises LmdmError when they were heard, but are not kept any more.
        """
        if max(first_frame, self.origin_frame) < min(self.first_frame, first_frame + frames):
            raise LmdmError(
                f"Frames from {first_frame} on of the accompaniment are not kept any more ({self._place()}); keep "
                f"{self.end_frame - first_frame} frames or more."
            )
        latents, mask = self.latents.new_zeros(self.latents.shape[0], frames), self.latents.new_zeros(1, frames)
        first, last = (min(max(frame, first_frame), first_frame + frames) for frame in self._span())
        latents[:, first - first_frame : last - first_frame] = self.latents[
            :, first - self.first_frame : last - self.first_frame
        ]
        mask[:, first - first_frame : last - first_frame] = 1.0
        return latents, mask

    def _span(self) -> tuple[int, int]:
        return self.first_frame, self.end_frame

    def _place(self) -> str:
        return f"origin {self.origin_frame}, kept {self.first_frame} to {self.end_frame}, room {self.kept_frames}"


def lag_frames_of(longest_block_frames: int, visibility_frames: int) -> int:
    """How many frames late tokens carry the accompaniment.

    `visibility_frames` is how much of it is known when a block is begun, counted from that block's first frame:
    positive is the future (a file), 0 all that was played until then, negative leaves time for encoding and compute.
    The last token of the longest block then carries the last frame that is known; shorter ones are on the safe side.
    Whoever sees further than the block hears it aligned, at lag 0: no frame is carried early.
    """
    return max(0, longest_block_frames - visibility_frames)


WRITTEN_SECONDS = 0.0005
"""Seconds are written to the millisecond, so half of one may be missing from what is meant."""


def visible_frames_of(visibility_seconds: float, frame_rate_hz: float) -> int:
    """Whole frames of a visibility, rounded down: a frame that is known in part is not known.

    Play, training and evaluation all count so. What lacks no more than half a millisecond is whole: 0.557 s at 21.53
    frames a second are 12 frames, which take 0.55728 s.
    """
    return math.floor((visibility_seconds + WRITTEN_SECONDS) * frame_rate_hz)


def accompaniment(
    heard: Heard, first_frame: int, frames: int, *, lag_frames: int, frame_rate_hz: float
) -> dict[str, Tensor]:
    """The frame controls of the `frames` tokens from `first_frame` on: mask `1 n`, latents `c n`, lag `1 n` in seconds.

    Token n carries frame n - `lag_frames`; where that frame does not exist all channels are 0, which is "not there".
    Raises LmdmError when a frame was heard but is not kept any more.
    """
    latents, mask = heard.frames(first_frame - lag_frames, frames)
    return {MASK: mask, LATENTS: latents, LAG: mask * (lag_frames / frame_rate_hz)}
