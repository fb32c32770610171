"""Frame controls that are left out in training, each for itself, so that play may do without any of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.draws import torch_draws
from lmdm_adapter.training.drops import DropConfig

FrameControls = Sequence[tuple[str, int]]
"""Names and channels of the frame controls after the context mask and the context latents."""


def with_dropped_controls(
    controls: Tensor | None, *, frame_controls: FrameControls, drops: DropConfig, seed: int, step: int
) -> Tensor | None:
    """Frame controls `b e n`, some of them zeroed in some rows; every name in `drops.controls` is drawn by itself.

    A name stands for the control of that name and for those that begin with it and an underscore, which belong
    together: "accompaniment" drops "accompaniment_mask" and "accompaniment_latents" in the same rows.
    """
    if controls is None or not drops.controls:
        return controls
    rows, kept = len(controls), []
    draws = {
        group: torch.rand(rows, 1, 1, generator=torch_draws(seed, step, f"{group} drops")) >= share
        for group, share in drops.controls
    }
    for name, channels in frame_controls:
        group = next((group for group in draws if _stands_for(group, name)), None)
        own = torch.ones(rows, 1, 1, dtype=torch.bool) if group is None else draws[group]
        kept.append(own.expand(-1, channels, -1))
    return controls * torch.cat(kept, dim=1).to(controls)


def require_known_controls(frame_controls: FrameControls, drops: DropConfig) -> None:
    """Refuse to drop a control that the model does not have."""
    for group, _ in drops.controls:
        if not any(_stands_for(group, name) for name, _ in frame_controls):
            known = ", ".join(name for name, _ in frame_controls) or "none besides its context"
            raise LmdmError(f"There is no frame control {group!r} to drop; this model has {known}.")


def _stands_for(group: str, name: str) -> bool:
    return name == group or name.startswith(f"{group}_")
