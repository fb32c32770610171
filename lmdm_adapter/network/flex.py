"""Attention of the parallel training forward as one block-sparse kernel, for GPUs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from lmdm_adapter.masks import visible
from lmdm_adapter.network.layout import Layout
from lmdm_adapter.network.rope import Rotation, rotate

Predicate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""`(row, head, query, key) -> bool`, as FlexAttention asks."""
TILE = 128
"""Tokens along one side of a tile of the mask. Sequences are padded to whole tiles, so that block lengths that vary by
a frame seldom make a new shape, for which the kernel would be compiled again."""


class FlexAttention:
    """The whole sequence at once; tiles that nobody sees are left out. The same function as `BlockLocalAttention`."""

    def __init__(
        self, layout: Layout, rotation: Rotation, *, context_blocks: int, kept_blocks: Tensor | None = None
    ) -> None:
        self.rotation, self.tokens = rotation, layout.tokens
        self.padding = -layout.tokens % TILE
        device, length = rotation.cos.device, layout.tokens + self.padding
        self.sees = _padded_predicate(layout, self.padding, device, context_blocks=context_blocks, kept=kept_blocks)
        rows = None if kept_blocks is None else len(kept_blocks)
        self.mask = create_block_mask(self.sees, rows, None, length, length, device=device, BLOCK_SIZE=TILE)
        self.kernel = compiled_kernel() if device.type == "cuda" else flex_attention

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (F.pad(x, (0, 0, 0, self.padding)) for x in (rotate(q, self.rotation), rotate(k, self.rotation), v))
        return self.kernel(q, k, v, block_mask=self.mask)[..., : self.tokens, :]


def _padded_predicate(
    layout: Layout, padding: int, device: torch.device, *, context_blocks: int, kept: Tensor | None
) -> Predicate:
    """`visible` of token numbers, with padding at the end of the sequence.

    Padding is the target of a block that is not there: it sees something, as every row of a softmax must, and nobody
    else sees it.
    """
    numbers, targets = layout.token_blocks(device)
    block = F.pad(numbers, (0, padding), value=len(layout.lengths_frames))
    is_target = F.pad(targets, (0, padding), value=True)
    target = (block - layout.first_target).clamp(0, len(layout.target_lengths_frames) - 1)
    # By token, not by block: tensors of other shapes would have the kernel compiled again.
    kept_by_token = None if kept is None else kept[:, target]

    def sees(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        own = None if kept_by_token is None else kept_by_token[row, query]
        return visible(
            block[query], is_target[query], block[key], is_target[key], context_blocks=context_blocks, kept_blocks=own
        )

    return sees


@cache
def compiled_kernel() -> Callable[..., Any]:
    """FlexAttention, compiled for each number of tiles that comes; uncompiled it builds the whole matrix of scores."""
    return torch.compile(flex_attention, dynamic=False)
