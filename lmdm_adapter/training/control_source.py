"""Where frame controls of clips come from: features of their sound, taken when it is encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.declared import accompaniment_controls, named
from lmdm_adapter.errors import LmdmError

Loosen = Callable[[Mapping[str, Tensor], np.random.Generator], Mapping[str, Tensor]]
"""Frame controls `(channels, frames)` by name, made looser by what the draws say."""


@dataclass(frozen=True, eq=False)
class ControlSource:
    """A group of frame controls that are features of a sound.

    `extract` gives them for audio at the codec's rate: by name, `(channels, frames)`, one column for each frame of
    latents or more. `loosen` is how a crop of them is made less exact in training; None leaves it as it is.
    """

    controls: tuple[tuple[str, int], ...]
    extract: Callable[[Audio], Mapping[str, np.ndarray]]
    loosen: Loosen | None = None

    def of(self, audio: Audio, *, frames: int) -> dict[str, Tensor]:
        """The first `frames` columns of every feature, in fp32.

        Raises LmdmError for features that are not the declared ones, are too short, or hold NaN or infinity.
        """
        found = {name: torch.as_tensor(values) for name, values in self.extract(audio).items()}
        for name, channels in self.controls:
            values = found.get(name, torch.empty(0, 0))
            if values.ndim != 2 or values.shape[0] != channels or values.shape[1] < frames:
                raise LmdmError(
                    f"The feature {name!r} must have shape ({channels}, {frames} or more), got {tuple(values.shape)}."
                )
            if not torch.isfinite(values).all():
                raise LmdmError(f"The feature {name!r} holds NaN or infinity.")
        return {name: found[name][:, :frames].float() for name, _ in self.controls}


SourceMaker = Callable[[Codec], ControlSource]
SOURCES: Mapping[str, SourceMaker] = {}
"""Sources by the group that they make, for a codec whose frames they follow."""


def sources_of(
    names: Sequence[str], codec: Codec, makers: Mapping[str, SourceMaker]
) -> tuple[ControlSource, ...]:
    """The sources of those groups among `names` that have one; accompaniment has none, it is the other stems."""
    groups = dict.fromkeys(name.partition("_")[0] for name in names)
    return tuple(makers[group](codec) for group in groups if group in makers)


def declared_by(
    names: Sequence[str], sources: Sequence[ControlSource], *, latent_channels: int
) -> tuple[tuple[str, int], ...]:
    """Frame controls that `names` stand for: of the accompaniment, and of the sources.

    Raises LmdmError for a name that stands for none.
    """
    known = accompaniment_controls(latent_channels) + tuple(pair for source in sources for pair in source.controls)
    return named(names, known)
