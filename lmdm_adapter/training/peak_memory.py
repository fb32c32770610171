"""The most memory that a training has taken so far."""

from __future__ import annotations

import torch

from lmdm_adapter.evaluation.memory import peak_rss_bytes


def most_memory_bytes(device: torch.device) -> int | None:
    """Bytes of tensors on a CUDA device at their most; elsewhere those of the whole process, None where nobody tells.

    A process counts all that it did before too, such as reading a checkpoint.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_rss_bytes()
