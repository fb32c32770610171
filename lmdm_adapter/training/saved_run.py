"""The checkpoint of a run as it lies on disk, read with the suspicion that a disk that was full deserves."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from lmdm_adapter.errors import LmdmError

NAMES = {"step", "objective", "average", "optimizers", "scaler"}


def read_run(path: Path) -> dict[str, Any]:
    """What a run saved, its tensors on the CPU. Raises LmdmError for a file that is damaged, or that no run wrote."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about how strange the bytes are
            state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # bytes that are no checkpoint raise anything
        reason = str(error).partition("\n")[0].rstrip(".") if isinstance(error, OSError) else "it cannot be read"
        raise LmdmError(_told(path, reason)) from error
    if not isinstance(state, dict) or not state.keys() >= NAMES:
        raise LmdmError(_told(path, "no training wrote this"))
    return state


def _told(path: Path, reason: str) -> str:
    return f"{path} is damaged ({reason}); put a good copy in its place, or delete it to begin again."
