"""Guidance learned by heart: a model comes to play alone what it played with a null branch beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network
from lmdm_adapter.samplers import combined
from lmdm_adapter.state import Conditioning

Velocity = Callable[[Network, Conditioning, int], Tensor]
"""The velocity `(k b) c n` of a network that is told of `k` copies of a batch."""


class Guide(nn.Module):
    """A frozen network and the guidance to learn from it (arXiv 2210.03142, section 3, for one guidance).

    Raises LmdmError for guidance 1, which teaches nothing, or none.
    """

    def __init__(self, network: Network, guidance: float) -> None:
        super().__init__()
        if guidance <= 1.0:
            raise LmdmError(f"A guidance to learn by heart lies above 1, got {guidance}.")
        self.network, self.guidance = network.requires_grad_(False), guidance

    @torch.no_grad()
    def forward(self, velocity: Velocity, told: Conditioning) -> Tensor:
        """The guided velocity `b c n`; rows whose prompt was dropped are their own null branch."""
        return combined(velocity(self.network, told.doubled(), 2).float(), self.guidance)
