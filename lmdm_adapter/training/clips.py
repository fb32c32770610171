"""Clips of music as latents with prompts, and random crops of them: what every recipe trains on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.draws import numpy_draws

log = logging.getLogger(__name__)
NAMED_AT_MOST = 5


class Clip(Protocol):
    """A piece of music that crops are taken from. `name` says which, and stays the same from run to run."""

    @property
    def name(self) -> str: ...

    @property
    def frames(self) -> int: ...

    @property
    def seconds(self) -> float: ...

    @property
    def controls(self) -> Mapping[str, Tensor]:
        """What is known of every frame, by frame control: `(channels, frames)` as long as the clip, often nothing."""
        ...

    def crop(self, first_frame: int, frames: int, *, draws: np.random.Generator) -> LatentClip:
        """`frames` frames from `first_frame` on, in fp32; `draws` is for prompts that vary."""
        ...


@dataclass(frozen=True, eq=False)
class LatentClip:
    """A clip in memory: latents `c n` as the model plays them (divided by the codec's scale), and its prompt.

    `controls` are frame controls by name, each `(channels, n)`; the latents of an accompaniment are not shifted.
    """

    latents: Tensor
    prompt: str
    seconds: float
    name: str
    controls: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.latents.shape[-1]

    def crop(self, first_frame: int, frames: int, *, draws: np.random.Generator) -> LatentClip:
        """`frames` frames from `first_frame` on, in fp32, under the same prompt."""
        part = slice(first_frame, first_frame + frames)
        controls = {name: values[:, part].float() for name, values in self.controls.items()}
        seconds = self.seconds * frames / self.frames
        return LatentClip(self.latents[:, part].float(), self.prompt, seconds, self.name, controls)


class Crop(NamedTuple):
    """A piece of a clip, and where it is from: what lies around it may be heard too."""

    clip: Clip
    first_frame: int
    piece: LatentClip


class PromptedLatents(NamedTuple):
    """A batch of crops: latents `b c n` in fp32, one prompt per row."""

    latents: Tensor
    prompts: list[str]


class LatentCrops:
    """Random crops of clips: `batch(step, frames)` depends on (seed, step, frames) and the clips alone.

    Every clip is as likely as every other, and every place in it.
    """

    def __init__(self, clips: Sequence[Clip], *, batch_size: int, seed: int) -> None:
        if not clips:
            raise LmdmError("There are no latents to train on; encode some music first.")
        self.clips, self.batch_size, self.seed = clips, batch_size, seed

    def batch(self, step: int, frames: int) -> PromptedLatents:
        """The crops of one step. Raises LmdmError when a clip is shorter than the crop, or holds NaN or infinity."""
        pieces = [crop.piece for crop in self.crops(step, frames)]
        return PromptedLatents(torch.stack([piece.latents for piece in pieces]), [piece.prompt for piece in pieces])

    def crops(self, step: int, frames: int) -> list[Crop]:
        """The rows of `batch`, and where they are from. Raises LmdmError as it does."""
        draws = numpy_draws(self.seed, step, "latent crops")
        return [self._crop(draws, frames) for _ in range(self.batch_size)]

    def _crop(self, draws: np.random.Generator, frames: int) -> Crop:
        clip = self.clips[draws.integers(len(self.clips))]
        if clip.frames < frames:
            raise LmdmError(f"{clip.name} has {clip.frames} frames, fewer than a crop of {frames}.")
        first_frame = int(draws.integers(clip.frames - frames + 1))
        piece = clip.crop(first_frame, frames, draws=draws)
        if not torch.isfinite(piece.latents).all():
            raise LmdmError(f"The latents of {clip.name} hold NaN or infinity; encode it again.")
        return Crop(clip, first_frame, piece)


def long_enough(clips: Sequence[Clip], frames: int) -> list[Clip]:
    """The clips that a crop of `frames` fits into; the log names the others. Raises LmdmError when none is left.

    They are left out rather than padded: silence after the end of a piece would be learned as music.
    """
    kept = [clip for clip in clips if clip.frames >= frames]
    if not kept:
        longest = max((clip.frames for clip in clips), default=0)
        raise LmdmError(
            f"Crops have {frames} frames and the longest of {len(clips)} clips has {longest}; train on shorter "
            "sequences or give longer clips."
        )
    short = [clip.name for clip in clips if clip.frames < frames]
    if short:
        names = ", ".join(short[:NAMED_AT_MOST]) + (", ..." if len(short) > NAMED_AT_MOST else "")
        log.warning("%d of %d clips are shorter than a crop of %d frames and are left out: %s",
                    len(short), len(clips), frames, names)  # fmt: skip
    return kept


def held_out_split(clips: Sequence[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on and clips to measure with: about `share` of them, at least one of each.

    A clip's name decides, so that a clip stays on its side when others come and go. Raises LmdmError for one clip.
    """
    if len(clips) < 2:
        raise LmdmError(f"Training needs at least 2 clips, one of them to measure with; got {len(clips)}.")
    ordered = sorted(clips, key=lambda clip: _place(clip.name))
    below = sum(_place(clip.name) < share for clip in clips)
    held_out = ordered[: min(max(below, 1), len(clips) - 1)]
    chosen = {id(clip) for clip in held_out}
    return [clip for clip in clips if id(clip) not in chosen], [clip for clip in clips if id(clip) in chosen]


def _place(name: str) -> float:
    """A number in [0, 1) that a name always gets."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
