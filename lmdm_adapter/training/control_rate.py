"""A faster learning rate for the columns of frame controls, which begin at zero in a model that is trained already.

Adam moves every weight by about the learning rate, whatever it means; a model's own weights want a small one, and
columns that begin at zero would need thousands of steps at it. Controls that are `rate` times as large, with columns
divided by `rate`, are the same computation with columns that move `rate` times as far in a step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmdm_adapter.network.model import Network


def columns_scaled(network: Network, factor: float) -> Network:
    """The network, its columns of frame controls multiplied by `factor` in place; those of the context stay."""
    channels = sum(count for _, count in network.dit.config.further_controls)
    if channels and factor != 1.0:
        with torch.no_grad():
            network.dit.to_input_add_embed.weight[:, -channels:] *= factor
    return network


def controls_scaled(controls: Tensor | None, rate: float) -> Tensor | None:
    """Frame controls `b e n`, `rate` times as large; None stays None."""
    return None if controls is None else controls * rate
