"""Who may look at whom: one predicate for training, committing and playing."""

from __future__ import annotations

import torch
from torch import Tensor


def visible(
    query_block: Tensor, query_is_target: Tensor, key_block: Tensor, key_is_target: Tensor, *, context_blocks: int,
    kept_blocks: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Block-causal visibility of keys to queries (arXiv 2605.22717, routing and attention masks).

    Clean block j sees clean blocks j-w..j; target j (its noisy frames and its prefix token) sees clean blocks
    j-w..j-1 and itself; nobody else sees a target. Arguments are block numbers and target flags that broadcast
    against each other, e.g. queries `q 1` and keys `k`; the result is a bool mask `q k`, True where attended.
    `kept_blocks` broadcasts against the queries: of its context a target sees only so many of the newest blocks.
    """
    age_blocks = query_block - key_block
    youngest_context = query_is_target.long()
    oldest_context: Tensor | int = context_blocks
    if kept_blocks is not None:
        oldest_context = torch.where(query_is_target, kept_blocks.clamp(max=context_blocks), context_blocks)
    clean_key = ~key_is_target & (age_blocks >= youngest_context) & (age_blocks <= oldest_context)
    own_target = key_is_target & query_is_target & (age_blocks == 0)
    return clean_key | own_target


def clean_mask(query_block: Tensor, key_block: Tensor, *, context_blocks: int) -> Tensor:
    """`visible` for clean queries `q` and clean keys `k` only: bool `q k`."""
    no_target = torch.zeros((), dtype=torch.bool, device=query_block.device)
    return visible(query_block[:, None], no_target, key_block[None, :], no_target, context_blocks=context_blocks)


def block_numbers(lengths_frames: tuple[int, ...], *, first: int = 0, device: torch.device | None = None) -> Tensor:
    """Block number of every frame: lengths (2, 3) with `first=5` give 5 5 6 6 6, shape `n`."""
    numbers = torch.arange(first, first + len(lengths_frames), device=device)
    return numbers.repeat_interleave(torch.tensor(lengths_frames, device=device), output_size=sum(lengths_frames))
