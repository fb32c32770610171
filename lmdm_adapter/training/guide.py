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

    With `guided_controls` its null branch goes without the frame controls of the targets too, as in play.
    Raises LmdmError for guidance 1, which teaches nothing, or none.
    """

    def __init__(self, network: Network, guidance: float, *, guided_controls: bool = False) -> None:
        super().__init__()
        if guidance <= 1.0:
            raise LmdmError(f"A guidance to learn by heart lies above 1, got {guidance}.")
        self.network, self.guidance = network.requires_grad_(False), guidance
        self.guided_controls = guided_controls

    def target_controls(self, own: Tensor | None, copies: int) -> Tensor | None:
        """Frame controls `(k b) e m` of targets whose own are `b e m`: None where they are those of the sequence."""
        if own is None or copies == 1 or not self.guided_controls:
            return None
        return torch.cat([own, torch.zeros_like(own)])

    @torch.no_grad()
    def forward(self, velocity: Velocity, told: Conditioning) -> Tensor:
        """The guided velocity `b c n`; rows that are told nothing else than their null branch are that."""
        return combined(velocity(self.network, told.doubled(), 2).float(), self.guidance)
