"""Attention of the parallel training forward block by block, for CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.masks import block_numbers, visible
from lmdm_adapter.network.layout import Layout
from lmdm_adapter.network.rope import Rotation, rotate


class Parts(NamedTuple):
    """Tokens by kind and block, each `b h n d`; noisy ones and prefixes of target blocks only."""

    clean: Sequence[Tensor]
    noisy: Sequence[Tensor]
    prefix: Sequence[Tensor]


class BlockLocalAttention:
    """Each block attends to the keys of its own window only; no mask over the whole sequence is ever built."""

    def __init__(
        self, layout: Layout, rotation: Rotation, *, context_blocks: int, kept_blocks: Tensor | None = None
    ) -> None:
        self.layout, self.rotation = layout, rotation
        self.context_blocks = context_blocks
        device = rotation.cos.device
        self.masks = [self._mask(block, kept_blocks, device) for block in range(len(layout.lengths_frames))]

    def _mask(self, block: int, kept_blocks: Tensor | None, device: torch.device) -> Tensor:
        """Mask of one block's queries [clean | noisy | prefix] over keys [window | noisy | prefix]: `b 1 q k`."""
        lengths, target = self.layout.lengths_frames, block - self.layout.first_target
        first = max(0, block - self.context_blocks)
        noisy_frames = lengths[block] + 1 if target >= 0 else 0
        key_block = block_numbers((*lengths[first : block + 1], noisy_frames), first=first, device=device)
        key_block = key_block.clamp(max=block)
        is_target = torch.arange(len(key_block), device=device) >= sum(lengths[first : block + 1])
        own = slice(len(key_block) - lengths[block] - noisy_frames, None)
        kept = None if kept_blocks is None or target < 0 else kept_blocks[:, target, None, None]
        mask = visible(
            key_block[own, None], is_target[own, None], key_block, is_target, context_blocks=self.context_blocks,
            kept_blocks=kept,
        )  # fmt: skip
        return mask.view(-1, 1, *mask.shape[-2:])

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        queries, keys, values = (self._parts(x) for x in (rotate(q, self.rotation), rotate(k, self.rotation), v))
        blocks = [self._attend_block(block, queries, keys, values) for block in range(len(self.masks))]
        targets = blocks[self.layout.first_target :]
        pieces = [block[0] for block in blocks], [block[1] for block in targets], [block[2] for block in targets]
        return torch.cat([piece for kind in pieces for piece in kind], dim=-2)

    def _parts(self, x: Tensor) -> Parts:
        """Tokens `b h n d` by kind and block. One split: slices would each give a whole-size gradient."""
        lengths, targets = self.layout.lengths_frames, self.layout.target_lengths_frames
        parts, count = x.split([*lengths, *targets, *(1 for _ in targets)], dim=-2), len(lengths)
        return Parts(parts[:count], parts[count : count + len(targets)], parts[count + len(targets) :])

    def _attend_block(self, block: int, queries: Parts, keys: Parts, values: Parts) -> Sequence[Tensor]:
        """Attention output of one block's clean frames, and its noisy frames and prefix if any, each `b h n d`."""
        window, target = slice(max(0, block - self.context_blocks), block + 1), block - self.layout.first_target
        noisy = slice(target, target + 1) if target >= 0 else slice(0, 0)
        own_q, own_k, own_v = (
            torch.cat([*parts.clean[seen], *parts.noisy[noisy], *parts.prefix[noisy]], dim=-2)
            for parts, seen in ((queries, slice(block, block + 1)), (keys, window), (values, window))
        )
        attended = F.scaled_dot_product_attention(own_q, own_k, own_v, attn_mask=self.masks[block])
        frames = self.layout.lengths_frames[block]
        return attended.split([frames, frames, 1] if target >= 0 else [frames], dim=-2)
