"""The terms of a step's losses: means over the batches that had them, the same on every process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

Terms = dict[str, tuple[Tensor, int]]
"""By name, the sum of a term over batches, and how many of them had it: a contrast without a partner is no zero."""


def with_terms(terms: Terms, values: Mapping[str, Tensor]) -> Terms:
    """The terms with one more batch in them."""
    added = dict(terms)
    for name, value in values.items():
        total, count = added.get(name, (torch.zeros_like(value), 0))
        added[name] = (total + value.detach(), count + 1)
    return added


def means_of(terms: Terms, accelerator: Accelerator) -> dict[str, float]:
    """The mean of every term over the batches of all processes, by name in alphabetical order.

    All processes must call it; terms that a process never had come from the others.
    """
    from accelerate.utils import gather_object

    names = sorted(set(gather_object(list(terms))))
    if not names:
        return {}
    nothing = (torch.zeros(()), 0)
    sums = [terms.get(name, nothing)[0].float().to(accelerator.device) for name in names]
    counts = [float(terms.get(name, nothing)[1]) for name in names]
    totals = torch.stack([torch.stack(sums), torch.tensor(counts, device=accelerator.device)])
    sums, counts = accelerator.reduce(totals, reduction="sum")
    return dict(zip(names, (sums / counts).tolist(), strict=True))
