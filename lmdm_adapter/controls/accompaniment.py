"""Another player as frame controls, latents and harmony: shifted, never cut.

Token n carries the accompaniment's frame n - lag. Its finished blocks carry what they carried, so cached keys and
values never go stale, and every heard frame is seen exactly once, whatever the lengths of blocks. One more channel
says how late that is, so that one model serves every latency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lmdm_adapter.controls.declared import HARMONY, HEARD
from lmdm_adapter.errors import LmdmError

MASK, LATENTS, LAG = HEARD


@dataclass(frozen=True, eq=False)
class Heard:
    """What was heard of the other player: latents `c n`, the newest of them, whose first is frame `first_frame`.

    `harmony` (`h n`) are the pitch classes of the same frames, for a model that hears them, else `0 n`.
    Frames are counted as the stream counts them. The player came in at frame `origin_frame`; what lies between that and
    `first_frame` was heard and is forgotten. At most `kept_frames` are kept, so memory is constant.
    Raises LmdmError for latents that are not `c n`, harmony of other frames, or room for less than a frame.
    """

    latents: Tensor
    first_frame: int = 0
    origin_frame: int = 0
    kept_frames: int = 1024
    harmony: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def __post_init__(self) -> None:
        if self.latents.ndim == 2 and not len(self.harmony):
            object.__setattr__(self, "harmony", self.latents.new_zeros(0, self.latents.shape[-1]))
        if self.latents.ndim != 2 or self.harmony.ndim != 2 or self.harmony.shape[-1] != self.latents.shape[-1]:
            raise LmdmError(
                f"What is heard has shape (channels, frames), harmony of as many frames; got "
                f"{tuple(self.latents.shape)} and {tuple(self.harmony.shape)}."
            )
        if self.kept_frames < 1 or self.origin_frame > self.first_frame:
            raise LmdmError(f"At least 1 frame is kept, and none before the first one was heard; got {self._place()}.")

    @staticmethod
    def nothing(latent_channels: int, *, from_frame: int = 0, kept_frames: int = 1024) -> Heard:
        """Nothing yet, and no harmony ever; the first frame to be heard is `from_frame`."""
        return Heard(torch.zeros(latent_channels, 0), from_frame, from_frame, kept_frames)

    @property
    def end_frame(self) -> int:
        """The first frame that was not heard yet."""
        return self.first_frame + self.latents.shape[-1]

    def with_latents(self, latents: Tensor, harmony: Tensor | None = None) -> Heard:
        """With the next frames, latents `c n` and their harmony `h n`, and only the newest `kept_frames` of all.

        Raises LmdmError for other channels, frames that are not the same, and NaN or infinity.
        """
        told = latents.new_zeros(0, latents.shape[-1]) if harmony is None else harmony
        joined = {"latents": _joined(self.latents, latents), "harmony": _joined(self.harmony, told)}
        end = self.end_frame + latents.shape[-1]
        kept = {name: values[:, max(0, end - self.first_frame - self.kept_frames) :] for name, values in joined.items()}
        # Copies, as views would keep the rest alive.
        return replace(
            self, first_frame=end - kept["latents"].shape[-1], **{name: values.clone() for name, values in kept.items()}
        )

    def without_harmony(self) -> Heard:
        """The same for a model that does not hear it."""
        return replace(self, harmony=self.harmony[:0])

    def frames(self, first_frame: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents `c n` and harmony `h n` from `first_frame` on, zeros where there are none, and `1 n` that says where.

        Raises LmdmError when they were heard, but are not kept any more.
        """
        if max(first_frame, self.origin_frame) < min(self.first_frame, first_frame + frames):
            raise LmdmError(
                f"Frames from {first_frame} on of the accompaniment are not kept any more ({self._place()}); keep "
                f"{self.end_frame - first_frame} frames or more."
            )
        first, last = (min(max(frame, first_frame), first_frame + frames) for frame in self._span())

        def placed(values: Tensor) -> Tensor:
            found = values.new_zeros(values.shape[0], frames)
            kept = values[:, first - self.first_frame : last - self.first_frame]
            found[:, first - first_frame : last - first_frame] = kept
            return found

        mask = self.latents.new_ones(1, self.latents.shape[-1])
        return placed(self.latents), placed(self.harmony), placed(mask)

    def _span(self) -> tuple[int, int]:
        return self.first_frame, self.end_frame

    def _place(self) -> str:
        return f"origin {self.origin_frame}, kept {self.first_frame} to {self.end_frame}, room {self.kept_frames}"


def _joined(kept: Tensor, fresh: Tensor) -> Tensor:
    """Along frames. Raises LmdmError for other channels, NaN and infinity."""
    if fresh.ndim != 2 or fresh.shape[0] != kept.shape[0]:
        raise LmdmError(
            f"This accompaniment has {kept.shape[0]} channels of (channels, frames), got {tuple(fresh.shape)}."
        )
    if not torch.isfinite(fresh).all():
        raise LmdmError("What is heard of the accompaniment holds NaN or infinity; give silence where there is none.")
    return torch.cat([kept, fresh.to(kept)], dim=-1)


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

    Harmony `h n` comes with them where it is heard. Token n carries frame n - `lag_frames`; where that frame does not
    exist all channels are 0, which is "not there". Raises LmdmError when a frame was heard but is not kept any more.
    """
    latents, harmony, mask = heard.frames(first_frame - lag_frames, frames)
    told = {MASK: mask, LATENTS: latents, LAG: mask * (lag_frames / frame_rate_hz)}
    return {**told, HARMONY: harmony} if len(harmony) else told
