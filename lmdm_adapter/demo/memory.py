"""Memory for the instrument panel: that of the card where the model is on one, else that of this process."""

from __future__ import annotations

import torch

from lmdm_adapter.evaluation.memory import rss_bytes


def memory_bytes(device: torch.device) -> int | None:
    """Bytes held now, or None where the system does not tell."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else rss_bytes()
