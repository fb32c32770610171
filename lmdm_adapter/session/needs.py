"""What a mode needs of a model, and of what is installed, and where it comes from."""

from __future__ import annotations

from dataclasses import replace

from lmdm_adapter.controls.declared import HARMONY, HEARD, SKETCH
from lmdm_adapter.controls.harmony import unmet_hearing
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.section import LmdmSection

NEEDED_GROUP = {"sketch": "sketch", "delay": "sketch", "jam": "accompaniment"}
"""The group of frame controls that each mode plays with; `stream` needs none."""


def unmet_need(section: LmdmSection, mode: str, *, model: str = "this one") -> str | None:
    """The sentence about what `model`, with that section, or this installation lacks for a mode, or None."""
    group = NEEDED_GROUP.get(mode)
    names = {name for name, _ in section.frame_controls}
    cure = f"take the bundled tiny-controls, or `lmdm train finetune --controls {group}` makes a model that has"
    if group == "accompaniment" and not names.issuperset(HEARD):
        return f"The mode {mode} needs a model with {', '.join(HEARD)}, which {model} lacks; {cure} them."
    if group == "sketch" and not names.intersection(SKETCH):
        return f"The mode {mode} needs a model with some of {', '.join(SKETCH)}, which {model} lacks; {cure} them."
    if group == "sketch" and section.sketch is None:
        known = f"The mode {mode} must know how sketches of {model} were made"
        return f"{known}, and its config has no lmdm.sketch; {cure} it."
    return unmet_hearing() if group == "accompaniment" and HARMONY in names else None


def require_needs(section: LmdmSection, mode: str, *, model: str = "this one") -> None:
    """Refuse a mode that a model of that section cannot play. Raises LmdmError with the command that cures it."""
    if (need := unmet_need(section, mode, model=model)) is not None:
        raise LmdmError(need)


def sketch_settings(section: LmdmSection, mode: str, *, model: str = "this one") -> SketchConfig:
    """How the sketches of a model are made, with those features alone that it has controls for.

    Raises LmdmError for a model without them.
    """
    require_needs(section, mode, model=model)
    assert section.sketch is not None, "checked above"
    names = {name for name, _ in section.frame_controls}
    kept = tuple(feature for feature in section.sketch.ordered_features if f"sketch_{feature}" in names)
    return replace(section.sketch, features=kept)
