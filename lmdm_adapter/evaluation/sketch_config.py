"""The sketch that a model follows, told by its section, or else by the frame controls that it declares."""

from __future__ import annotations

from dataclasses import replace

from lmdm_adapter.controls.declared import SKETCH
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel


def sketch_config_of(live: LiveModel) -> SketchConfig:
    """Settings that the model was trained with; else on its codec's frames, with as many notes as it has channels for.

    Only the features that it has controls for are sketched. Raises LmdmError for a model without sketch controls.
    """
    declared = {name: channels for name, channels in live.network.dit.config.further_controls if name in SKETCH}
    if not declared:
        raise LmdmError("This model follows no sketch; train one with: lmdm train finetune --controls sketch.")
    features = tuple(name.partition("_")[2] for name in declared)
    if live.section.sketch is not None:
        return replace(live.section.sketch, features=features)
    bins = declared.get("sketch_melody", 1 + SketchConfig.bins) - 1
    return SketchConfig(live.codec.frame_samples, live.codec.sample_rate, features=features, bins=bins)
