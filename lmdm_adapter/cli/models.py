"""Opening a model for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmdm_adapter.errors import LmdmError

if TYPE_CHECKING:
    import torch

    from lmdm_adapter.live import LiveModel
    from lmdm_adapter.spec import Regime


def open_model(
    name: str, *, device: str = "cpu", dtype: str = "float32", threads: int | None = None, regime: Regime | None = None
) -> LiveModel:
    """Load the model called `name` onto `device`; `threads` limits torch on the CPU, `regime` is None for its own.

    Raises LmdmError for a model, device or number format that is not there.
    """
    import torch

    import lmdm_adapter

    place = parse_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    return lmdm_adapter.load(name, device=place, dtype=getattr(torch, dtype), regime=regime)


def parse_device(device: str) -> torch.device:
    """The torch device called `device`. Raises LmdmError when torch does not know it or the machine has none."""
    import torch

    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
        raise LmdmError(f"Device {device!r} cannot be used here ({reason}); try --device cpu.") from error
    if place.type == "meta":
        raise LmdmError("Device 'meta' holds no numbers; try --device cpu.")
    return place
