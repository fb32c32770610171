"""Where frame controls of clips come from: features of their sound, taken when it is encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.declared import HARMONY, accompaniment_controls, named, stands_for
from lmdm_adapter.controls.harmony import HARMONY_CHANNELS, HarmonyConfig, harmony
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, drawn_widths, loosened, sketched
from lmdm_adapter.errors import LmdmError

Loosen = Callable[[Mapping[str, Tensor], np.random.Generator], Mapping[str, Tensor]]
"""Frame controls `(channels, frames)` by name, made looser by what the draws say."""


@dataclass(frozen=True, eq=False)
class ControlSource:
    """A group of frame controls that are features of a sound.

    `extract` gives them for audio at the codec's rate: by name, `(channels, frames)`, one column for each frame of
    latents or more; the audio is the music, or with `of_others` what accompanies it. `loosen` is how a crop of them is
    made less exact in training; None leaves it as it is. `sketch` are the settings of a sketch, which the model keeps
    for its players.
    """

    controls: tuple[tuple[str, int], ...]
    extract: Callable[[Audio], Mapping[str, np.ndarray]]
    loosen: Loosen | None = None
    sketch: SketchConfig | None = None
    of_others: bool = False

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


def sketch_source(codec: Codec, sketch: SketchConfig | None = None) -> ControlSource:
    """Sketches of the music on the codec's frames, loosened in training by a median of a random width per feature.

    `sketch` None is the default for that codec. Raises LmdmError for settings of other frames or another rate.
    """
    config = sketch or SketchConfig.of_frames(codec.frame_samples, codec.sample_rate)
    if (config.frame_samples, config.sample_rate) != (codec.frame_samples, codec.sample_rate):
        raise LmdmError(
            f"A sketch on frames of {config.frame_samples} samples at {config.sample_rate} Hz does not fit a codec of "
            f"{codec.frame_samples} samples at {codec.sample_rate} Hz."
        )

    def loosen(features: Mapping[str, Tensor], draws: np.random.Generator) -> Mapping[str, Tensor]:
        names = [name for name, _ in config.frame_controls]
        widths = drawn_widths(draws, config.ordered_features, config.widest_frames)  # one for each, also if not there
        own = {name: features[name] for name in names if name in features}
        return loosened(Sketch.from_controls(own), widths).controls() if own else {}

    return ControlSource(config.frame_controls, lambda audio: sketched(config, audio).controls(), loosen, config)


def harmony_source(codec: Codec, sketch: SketchConfig | None = None) -> ControlSource:
    """The harmony of the accompaniment on the codec's frames; of the settings of a sketch it needs none."""

    def extract(audio: Audio) -> dict[str, np.ndarray]:
        return {HARMONY: harmony(HarmonyConfig(codec.frame_samples, codec.sample_rate), audio)}

    return ControlSource(((HARMONY, HARMONY_CHANNELS),), extract, of_others=True)


SourceMaker = Callable[[Codec, SketchConfig | None], ControlSource]
SOURCES: Mapping[str, SourceMaker] = {"sketch": sketch_source, "accompaniment": harmony_source}
"""Sources by the group that they make, for a codec whose frames they follow, and for the sketches of a model."""


def sources_of(
    names: Sequence[str], codec: Codec, makers: Mapping[str, SourceMaker], *, sketch: SketchConfig | None = None
) -> tuple[ControlSource, ...]:
    """The sources of controls that `names` stand for; the latents of an accompaniment have none, they are other stems.

    `sketch` are the settings that a model was trained with, or is to be; None leaves them to the source.
    """
    groups = dict.fromkeys(name.partition("_")[0] for name in names)
    made = (makers[group](codec, sketch) for group in groups if group in makers)
    return tuple(
        source for source in made if any(stands_for(name, own) for name in names for own, _ in source.controls)
    )


def declared_by(
    names: Sequence[str], sources: Sequence[ControlSource], *, latent_channels: int
) -> tuple[tuple[str, int], ...]:
    """Frame controls that `names` stand for: of the accompaniment, and of the sources.

    Raises LmdmError for a name that stands for none.
    """
    known = accompaniment_controls(latent_channels) + tuple(pair for source in sources for pair in source.controls)
    return named(names, known)
