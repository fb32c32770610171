"""Frame controls of training crops: the accompaniment at a lag of its own for every row, features made looser.

What is around a crop may be heard too: an accompaniment that is carried late is that of frames before the crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.accompaniment import LATENTS, Heard, accompaniment, lag_frames_of, visible_frames_of
from lmdm_adapter.controls.declared import ACCOMPANIMENT, HARMONY, HEARD, FrameControls
from lmdm_adapter.controls.frames import packed_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.clips import Clip, Crop, LatentCrops
from lmdm_adapter.training.control_source import ControlSource
from lmdm_adapter.training.data import Data, crops_of
from lmdm_adapter.training.draws import numpy_draws


@dataclass(frozen=True)
class ControlConfig:
    """How frame controls vary from row to row.

    `visibility_seconds` is the range of how much of the accompaniment is known when a block is begun, counted from the
    block's first frame; negative is slack. In the share `aligned` of rows it is not late at all, which is
    easiest to learn from. It is left out with `no_accompaniment`, and comes in within the crop with
    `late_accompaniment`; its harmony alone is left out with `no_harmony`. All other controls are left out together with
    `no_features`, as in play without a sketch, and each by itself with `no_feature`.
    """

    visibility_seconds: tuple[float, float] = (-2.0, 2.0)
    aligned: float = 0.0
    no_accompaniment: float = 0.05
    late_accompaniment: float = 0.15
    no_harmony: float = 0.1
    no_features: float = 0.1
    no_feature: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.visibility_seconds
        if not -60.0 <= low <= high <= 60.0:
            raise LmdmError(f"visibility_seconds is a range within -60 and 60, got {self.visibility_seconds}.")
        features = (self.no_features, self.no_feature)
        shares = (self.no_accompaniment, self.late_accompaniment, self.no_harmony, self.aligned, *features)
        if min(shares) < 0.0 or self.no_accompaniment + self.late_accompaniment > 1.0 or max(shares) > 1.0:
            raise LmdmError(f"Shares of what is left out lie in [0, 1] and add up to at most 1, got {self}.")


class ControlledLatents(NamedTuple):
    """A batch of crops: latents `b c n`, one prompt per row, and frame controls `b e n` or None.

    `controls` are as a player hears them, the accompaniment carried late; in `aligned` it is carried at lag 0.
    """

    latents: Tensor
    prompts: list[str]
    controls: Tensor | None
    aligned: Tensor | None


class ControlCrops:
    """Crops with the frame controls that a model declares: a function of (seed, step, frames) and the clips alone.

    Latents and prompts are those of `crops`. What a clip does not have is not there, as in play without it.
    """

    def __init__(
        self, crops: LatentCrops, frame_controls: FrameControls, config: ControlConfig, *, block_frames: int,
        frame_rate_hz: float, sources: Sequence[ControlSource] = (),
    ) -> None:  # fmt: skip
        self.crops, self.declared, self.config = crops, tuple(frame_controls), config
        self.block_frames, self.frame_rate_hz, self.sources = block_frames, frame_rate_hz, tuple(sources)

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""
        return self.crops.batch_size

    def batch(self, step: int, frames: int) -> ControlledLatents:
        """The crops of one step. Raises LmdmError as `LatentCrops.batch` does."""
        crops = self.crops.crops(step, frames)
        latents = torch.stack([crop.piece.latents for crop in crops])
        prompts = [crop.piece.prompt for crop in crops]
        if not self.declared:
            return ControlledLatents(latents, prompts, None, None)
        rows = [
            self._row(crop, frames, numpy_draws(self.crops.seed, step, f"frame controls of row {row}"))
            for row, crop in enumerate(crops)
        ]
        controls, aligned = (
            torch.cat([self._packed(given, frames) for given in part]) for part in zip(*rows, strict=True)
        )
        return ControlledLatents(latents, prompts, controls, aligned)

    def _packed(self, given: Mapping[str, Tensor], frames: int) -> Tensor:
        own = {name: given.get(name, torch.zeros(channels, frames)) for name, channels in self.declared}
        packed = packed_controls(own, self.declared, rows=1, frames=frames)
        assert packed is not None, "every declared control was given"
        return packed

    def _row(self, crop: Crop, frames: int, draws: np.random.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Controls by name, with the accompaniment at a lag that is drawn, and at lag 0."""
        lag_frames, heard = self._lag_frames(draws), self._heard(crop, frames, draws)
        features = self._features(crop, draws)  # the last to draw, loosening last of all: it moves nothing else
        late, aligned = ({}, {}) if heard is None else (
            accompaniment(heard, crop.first_frame, frames, lag_frames=lag, frame_rate_hz=self.frame_rate_hz)
            for lag in (lag_frames, 0)
        )  # fmt: skip
        return {**features, **late}, {**features, **aligned}

    def _features(self, crop: Crop, draws: np.random.Generator) -> dict[str, Tensor]:
        """All controls but the accompaniment, made looser; now and then none of them, or without some."""
        names = [name for name, _ in self.declared if name not in ACCOMPANIMENT]
        fates = dict(zip(names, draws.random(len(names)), strict=True))
        if draws.random() < self.config.no_features:
            return {}
        features = {name: value for name, value in crop.piece.controls.items() if name not in ACCOMPANIMENT}
        for source in self.sources:
            if source.loosen is not None:
                features.update(source.loosen(features, draws))
        return {name: features[name] for name in names if name in features and fates[name] >= self.config.no_feature}

    def _lag_frames(self, draws: np.random.Generator) -> int:
        visibility_seconds = draws.uniform(*self.config.visibility_seconds)
        if self.config.aligned and draws.random() < self.config.aligned:
            return 0
        return lag_frames_of(self.block_frames, visible_frames_of(visibility_seconds, self.frame_rate_hz))

    def _heard(self, crop: Crop, frames: int, draws: np.random.Generator) -> Heard | None:
        """The accompaniment of the whole clip, or from some frame within the crop on, or None."""
        fate, late = draws.random(), int(draws.integers(frames))
        latents = crop.clip.controls.get(LATENTS)
        if latents is None or fate < self.config.no_accompaniment:
            return None
        is_late = fate < self.config.no_accompaniment + self.config.late_accompaniment
        origin = crop.first_frame + late if is_late else 0
        return Heard(
            latents[:, origin:].float(), origin, origin, harmony=self._harmony(crop, draws)[:, origin:].float()
        )

    def _harmony(self, crop: Crop, draws: np.random.Generator) -> Tensor:
        """That of the whole clip, or silence where it is left out; nothing for a model that does not hear it."""
        channels = dict(self.declared).get(HARMONY)
        if channels is None:
            return torch.zeros(0, crop.clip.frames)
        told = crop.clip.controls.get(HARMONY)
        is_there = told is not None and draws.random() >= self.config.no_harmony
        return told if is_there else torch.zeros(channels, crop.clip.frames)


def controlled_crops_of(
    data: Data, codec: Codec, frame_controls: FrameControls, config: ControlConfig, *, batch_size: int, seed: int,
    longest_frames: int, block_frames: int, sources: Sequence[ControlSource],
) -> tuple[ControlCrops, ControlCrops]:  # fmt: skip
    """`crops_of` with frame controls, to train on and held out. Raises LmdmError as it does."""
    train, held_out = (
        ControlCrops(
            crops, frame_controls, config, block_frames=block_frames, frame_rate_hz=codec.frame_rate_hz,
            sources=sources,
        )
        for crops in crops_of(
            data, codec, batch_size=batch_size, seed=seed, longest_frames=longest_frames, sources=sources
        )
    )  # fmt: skip
    return train, held_out


def require_held(clips: Sequence[Clip], frame_controls: FrameControls) -> None:
    """Refuse to train frame controls that none of the clips has."""
    for name, _ in frame_controls:
        wanted = LATENTS if name in HEARD else name
        if not any(wanted in clip.controls for clip in clips):
            raise LmdmError(
                f"None of {len(clips)} clips has the frame control {name!r} to train with; songs have an accompaniment "
                "where their data names stems, and features where a source makes them."
            )
