"""What a mode needs of a model, and where a model that has it comes from."""

from __future__ import annotations

from lmdm_adapter.controls.declared import ACCOMPANIMENT, SKETCH
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.section import LmdmSection

NEEDED_GROUP = {"sketch": "sketch", "delay": "sketch", "jam": "accompaniment"}
"""The group of frame controls that each mode plays with; `stream` needs none."""


def unmet_need(section: LmdmSection, mode: str) -> str | None:
    """The sentence about what a model of that section lacks for a mode, or None."""
    group = NEEDED_GROUP.get(mode)
    names = {name for name, _ in section.frame_controls}
    cure = f"`lmdm train finetune --controls {group}` makes a model that has"
    if group == "accompaniment" and not names.issuperset(ACCOMPANIMENT):
        return f"{mode} needs a model with the frame controls {', '.join(ACCOMPANIMENT)}, which this one lacks; {cure} them."
    if group == "sketch" and not names.intersection(SKETCH):
        return f"{mode} needs a model with sketch controls ({', '.join(SKETCH)}), which this one lacks; {cure} them."
    if group == "sketch" and section.sketch is None:
        return f"{mode} must know how the sketches of this model were made, and its config has no lmdm.sketch; {cure} it."
    return None


def require_needs(section: LmdmSection, mode: str) -> None:
    """Refuse a mode that a model of that section cannot play. Raises LmdmError with the command that makes one."""
    if (need := unmet_need(section, mode)) is not None:
        raise LmdmError(f"The mode {need}")


def sketch_settings(section: LmdmSection, mode: str) -> SketchConfig:
    """How the sketches of a model are made, with those features alone that it has controls for.

    Raises LmdmError for a model without them.
    """
    require_needs(section, mode)
    assert section.sketch is not None, "checked above"
    return section.sketch
