"""Names of frame controls: which belong together, and in which order a model declares them."""

from __future__ import annotations

from collections.abc import Sequence

from lmdm_adapter.errors import LmdmError

FrameControls = Sequence[tuple[str, int]]
"""Names and channels of frame controls, in the order of their columns in the projection."""

CONTEXT = ("context_mask", "context_latents")
HEARD = ("accompaniment_mask", "accompaniment_latents", "accompaniment_lag")
"""What every model that hears an accompaniment declares."""
HARMONY = "accompaniment_harmony"
"""Its pitch classes, which a model may hear besides."""
ACCOMPANIMENT = (*HEARD, HARMONY)
SKETCH = ("sketch_loudness", "sketch_brightness", "sketch_melody", "sketch_rhythm")
MAX_CHANNELS = 4096


def accompaniment_controls(latent_channels: int) -> tuple[tuple[str, int], ...]:
    """What carries another player: whether a frame exists, its latents, and how late it is carried."""
    return tuple(zip(HEARD, (1, latent_channels, 1), strict=True))


def stands_for(group: str, name: str) -> bool:
    """Whether `group` means the control `name`: that control itself, or all that begin with it and an underscore."""
    return name == group or name.startswith(f"{group}_")


def require_addable(present: FrameControls, added: FrameControls) -> None:
    """Refuse controls that cannot stand after those that a model has.

    Raises LmdmError for none, one without channels, one that is there or named twice, one of the context, and
    controls of one group in another order than theirs; groups may come in any order.
    """
    names = [name for name, _ in present]
    if not added:
        raise LmdmError('Name at least one frame control to add, e.g. ("sketch_loudness", 2).')
    for name, channels in added:
        if name in names or name in CONTEXT:
            raise LmdmError(f"The frame control {name!r} is there already; this model has {', '.join(names)}.")
        if not name.isidentifier() or not 1 <= channels <= MAX_CHANNELS:
            raise LmdmError(f"A frame control has a plain name and 1..{MAX_CHANNELS} channels, got {name}: {channels}.")
        names.append(name)
    for group in (ACCOMPANIMENT, SKETCH):
        order = [group.index(name) for name in names if name in group]
        if order != sorted(order):
            raise LmdmError(f"These frame controls are declared in the order {', '.join(group)}; got {list(added)}.")


def named(names: Sequence[str], known: FrameControls) -> tuple[tuple[str, int], ...]:
    """Those of the `known` controls that `names` stand for, in their order.

    Raises LmdmError for a name that stands for none of them.
    """
    for group in names:
        if not any(stands_for(group, name) for name, _ in known):
            listed = ", ".join(name for name, _ in known) or "none"
            raise LmdmError(f"There is no frame control {group!r} here; there is {listed}.")
    return tuple((name, channels) for name, channels in known if any(stands_for(group, name) for group in names))
