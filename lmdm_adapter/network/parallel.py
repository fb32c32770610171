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
    """Where blocks lie in the token sequence [clean frames | noisy frames | one prefix per noisy block].

    Blocks before `first_target` are context only: they have clean frames, and no noisy ones.
    """

    lengths_frames: tuple[int, ...]
    first_target: int = 0

    @property
    def target_lengths_frames(self) -> tuple[int, ...]:
        """Lengths of the blocks with noisy frames."""
        return self.lengths_frames[self.first_target :]

    @property
    def frames(self) -> int:
        """Clean frames."""
        return sum(self.lengths_frames)

    @property
    def target_frames(self) -> int:
        """Noisy frames."""
        return sum(self.target_lengths_frames)

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each block, and the end of the last one."""
        return (0, *accumulate(self.lengths_frames))

    def positions(self, prefix_distance: int, device: torch.device) -> Tensor:
        """Rotary position of every token: frames count from 0, a prefix sits before its own block."""
        frames = torch.arange(self.frames, device=device)
        starts = self.starts[self.first_target : -1]
        noisy = frames[self.starts[self.first_target] :]
        return torch.cat([frames, noisy, torch.tensor(starts, device=device) - prefix_distance])


class Parts(NamedTuple):
    """Tokens by kind and block, each `b h n d`; noisy ones and prefixes of target blocks only."""

    clean: Sequence[Tensor]
    noisy: Sequence[Tensor]
    prefix: Sequence[Tensor]


def parallel_velocity(
    dit: DiT, clean: Tensor, noisy: Tensor, t: Tensor, *, lengths_frames: Sequence[int], context_blocks: int,
    prefix_distance: int, cross: Tensor | None = None, global_cond: Tensor | None = None,
    controls: Tensor | None = None, kept_blocks: Tensor | None = None, checkpointed: bool = False,
) -> Tensor:  # fmt: skip
    """Velocity of all target blocks at once, equal to playing them one by one with cached K/V (law 2).

    `clean` is `b c n` in blocks of `lengths_frames`, `controls` is `b e n`. `noisy` is `b c m`, `t` holds one noise
    level per target block, `b k`: the targets are the last k blocks, m frames, often all. `kept_blocks` (`b k`)
    drops context in the mask: target j sees only its newest `kept_blocks[:, j]` context blocks. `checkpointed` trades
    a second forward pass for memory. Returns `b c m`. Raises LmdmError when the block lengths do not add up.
    """
    layout = Layout(tuple(lengths_frames), len(lengths_frames) - t.shape[1])
    if (layout.frames, layout.target_frames) != (clean.shape[-1], noisy.shape[-1]):
        shapes = f"{tuple(clean.shape)} and {tuple(noisy.shape)}"
        raise LmdmError(
            f"Blocks of {layout.frames} frames in all, the last {t.shape[1]} of them noisy, do not fit latents of "
            f"shapes {shapes}."
        )
    target_controls = None if controls is None else controls[..., layout.starts[layout.first_target] :]
    tokens = [dit.context_tokens(clean, controls), dit.target_tokens(noisy, target_controls)]
    tokens += [dit.prefix_token(t[:, block], global_cond) for block in range(t.shape[1])]
    rotation = dit.transformer.rotary_pos_emb(layout.positions(prefix_distance, clean.device))
    attend = BlockLocalAttention(layout, rotation, context_blocks=context_blocks, kept_blocks=kept_blocks)
    prompt = dit.prompt_keys_values(cross)
    hidden = dit.transformer(torch.cat(tokens, dim=1), prompt, attend, checkpointed=checkpointed)
    return dit.velocity(hidden[:, layout.frames : layout.frames + layout.target_frames])


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
