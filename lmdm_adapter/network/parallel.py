"""The parallel training forward: every block of a long sequence at once, on the computation that streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.masks import block_numbers, visible
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.rope import Rotation, rotate


@dataclass(frozen=True)
class Layout:
    """Where blocks lie in the token sequence [clean frames | noisy frames | one prefix per block]."""

    lengths_frames: tuple[int, ...]

    @property
    def frames(self) -> int:
        """Frames of one copy of the sequence."""
        return sum(self.lengths_frames)

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each block, and the end of the last one."""
        return (0, *accumulate(self.lengths_frames))

    def positions(self, prefix_distance: int, device: torch.device) -> Tensor:
        """Rotary position of every token: frames count from 0, a prefix sits before its own block."""
        frames = torch.arange(self.frames, device=device)
        prefixes = torch.tensor(self.starts[:-1], device=device) - prefix_distance
        return torch.cat([frames, frames, prefixes])


class Parts(NamedTuple):
    """Tokens by kind and block, each `b h n d`."""

    clean: Sequence[Tensor]
    noisy: Sequence[Tensor]
    prefix: Sequence[Tensor]


def parallel_velocity(
    dit: DiT, clean: Tensor, noisy: Tensor, t: Tensor, *, lengths_frames: Sequence[int], context_blocks: int,
    prefix_distance: int, cross: Tensor | None = None, global_cond: Tensor | None = None,
    controls: Tensor | None = None, kept_blocks: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Velocity of all blocks at once, equal to playing them one by one with cached K/V (law 2).

    `clean` and `noisy` are `b c n`, `t` holds one noise level per block, `b k`, `controls` is `b e n`.
    `kept_blocks` (`b k`) drops context in the mask: target j sees only its newest `kept_blocks[:, j]` context
    blocks. Returns `b c n`. Raises LmdmError when the block lengths do not add up to the frames.
    """
    layout = Layout(tuple(lengths_frames))
    if layout.frames != clean.shape[-1] or clean.shape != noisy.shape:
        shapes = f"{tuple(clean.shape)} and {tuple(noisy.shape)}"
        raise LmdmError(f"Blocks of {layout.frames} frames in all do not fit latents of shapes {shapes}.")
    prefixes = [dit.prefix_token(t[:, block], global_cond) for block in range(t.shape[1])]
    tokens = torch.cat([dit.context_tokens(clean, controls), dit.target_tokens(noisy, controls), *prefixes], dim=1)
    rotation = dit.transformer.rotary_pos_emb(layout.positions(prefix_distance, clean.device))
    attend = BlockLocalAttention(layout, rotation, context_blocks=context_blocks, kept_blocks=kept_blocks)
    hidden = dit.transformer(tokens, dit.prompt_keys_values(cross), attend)
    return dit.velocity(hidden[:, layout.frames : 2 * layout.frames])


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
        lengths = self.layout.lengths_frames
        first = max(0, block - self.context_blocks)
        key_block = block_numbers((*lengths[first : block + 1], lengths[block] + 1), first=first, device=device)
        key_block = key_block.clamp(max=block)
        is_target = torch.arange(len(key_block), device=device) >= sum(lengths[first : block + 1])
        own = slice(len(key_block) - 2 * lengths[block] - 1, None)
        query_block, query_is_target = key_block[own, None], is_target[own, None]
        mask = visible(query_block, query_is_target, key_block, is_target, context_blocks=self.context_blocks)[None]
        if kept_blocks is not None:
            age_blocks = (block - key_block)[None, None, :]
            too_old = query_is_target & ~is_target & (age_blocks > kept_blocks[:, block, None, None])
            mask = mask & ~too_old
        return mask[:, None]

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        queries, keys, values = (self._parts(x) for x in (rotate(q, self.rotation), rotate(k, self.rotation), v))
        blocks = [self._attend_block(block, queries, keys, values) for block in range(len(self.masks))]
        return torch.cat([piece for kind in zip(*blocks, strict=True) for piece in kind], dim=-2)

    def _parts(self, x: Tensor) -> Parts:
        """Tokens `b h n d` by kind and block. One split: slices would each give a whole-size gradient."""
        lengths = self.layout.lengths_frames
        parts, count = x.split([*lengths, *lengths, *(1 for _ in lengths)], dim=-2), len(lengths)
        return Parts(parts[:count], parts[count : 2 * count], parts[2 * count :])

    def _attend_block(self, block: int, queries: Parts, keys: Parts, values: Parts) -> Sequence[Tensor]:
        """Attention output of one block's clean frames, noisy frames and prefix, each `b h n d`."""
        window = slice(max(0, block - self.context_blocks), block + 1)
        own_q, own_k, own_v = (
            torch.cat([*parts.clean[seen], parts.noisy[block], parts.prefix[block]], dim=-2)
            for parts, seen in ((queries, slice(block, block + 1)), (keys, window), (values, window))
        )
        attended = F.scaled_dot_product_attention(own_q, own_k, own_v, attn_mask=self.masks[block])
        frames = self.layout.lengths_frames[block]
        return attended.split([frames, frames, 1], dim=-2)
