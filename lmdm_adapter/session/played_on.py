"""What the bits of a session depend on besides its model: number format, device, threads, and versions of packages."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

import lmdm_adapter
from lmdm_adapter.live import LiveModel


def versions() -> dict[str, str]:
    """Packages and the machine's kind."""
    return {"lmdm_adapter": lmdm_adapter.__version__, "torch": str(torch.__version__), "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine()}  # fmt: skip


def played_on(maker: Any) -> dict[str, Any]:
    """Number format and device of a model, and torch's threads; what is no model has neither of the first two."""
    live = maker if isinstance(maker, LiveModel) else None
    return {
        "dtype": None if live is None else str(live.network.dit.dtype).removeprefix("torch."),
        "device": None if live is None else str(live.device), "threads": torch.get_num_threads(),
    }  # fmt: skip


def other_place(recorded: Mapping[str, Any], maker: Any) -> str | None:
    """One sentence where `recorded`, a log's header, says that the session was played elsewhere; None where it fits.

    What an older log does not tell is not compared.
    """
    differing = [*_differing(recorded, played_on(maker)), *_differing(recorded.get("versions") or {}, versions())]
    if not differing:
        return None
    there, here = (", ".join(f"{name} {both[place]}" for name, both in differing) for place in (0, 1))
    return f"This was played with {there}, and here it is {here}: samples may differ, mostly in their last bits."


def _differing(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name, value in now.items():
        if recorded.get(name) is not None and recorded[name] != value:
            yield name, (recorded[name], value)
