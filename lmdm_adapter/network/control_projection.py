"""The one matrix through which all frame controls enter, computed control by control."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ControlProjection(nn.Linear):
    """A bias-free matrix `d (w1 + w2 + ...)`: the first width is mask and context latents, then one for each control.

    It is one parameter and a sum of products. A product with a wider matrix may add its terms up in another order; a
    sum leaves what was there as it is, so that a new control with zero columns changes no bit. A control that is not
    given costs nothing.
    """

    def __init__(self, widths: Sequence[int], features: int) -> None:
        super().__init__(sum(widths), features, bias=False)
        self.widths = tuple(widths)

    def forward(self, context: Tensor, controls: Tensor | None = None) -> Tensor:
        """Mask and context `b n w1`, and all other controls `b n e` or none of them, to `b n d`."""
        first, *columns = self.weight.split(self.widths, dim=1)
        added = F.linear(context, first)
        if controls is not None:
            for part, own in zip(controls.split(self.widths[1:], dim=-1), columns, strict=True):
                added = added + F.linear(part, own)
        return added
