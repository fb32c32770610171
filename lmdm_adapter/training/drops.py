"""What is left out or bent in training, so that play may do the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class DropConfig:
    """Shares of what is dropped: all context of a block, its oldest blocks, the prompt of a row.

    `controls` holds a share for each frame control that is dropped, by name. `jitter_frames` is by how much block
    lengths vary, in the share `jittered` of steps.
    """

    no_context: float = 0.2
    short_context: float = 0.3
    prompt: float = 0.1
    controls: tuple[tuple[str, float], ...] = ()
    jitter_frames: int = 1
    jittered: float = 0.5

    def __post_init__(self) -> None:
        for name in ("no_context", "short_context", "prompt", "jittered"):
            _require_share(name, getattr(self, name))
        for name, share in self.controls:
            _require_share(f"of {name}", share)
        if self.no_context + self.short_context > 1.0:
            raise LmdmError("The shares no_context and short_context add up to more than 1.")


def _require_share(name: str, share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise LmdmError(f"The share {name} lies in [0, 1], got {share}.")


def kept_blocks(
    rows: int, blocks: int, *, context_blocks: int, drops: DropConfig, generator: torch.Generator
) -> Tensor:
    """How many of its newest context blocks each target block may see, `b k`: usually all `context_blocks`.

    0 with probability `no_context`, and uniform in 0..w-1 with probability `short_context`.
    """
    fate = torch.rand(rows, blocks, generator=generator)
    shorter = torch.randint(0, context_blocks, (rows, blocks), generator=generator)
    kept = torch.full((rows, blocks), context_blocks)
    kept = torch.where(fate < drops.no_context + drops.short_context, shorter, kept)
    return torch.where(fate < drops.no_context, torch.zeros_like(kept), kept)


def newest_frames(kept: Tensor, lengths_frames: Sequence[int]) -> Tensor:
    """How many frames the newest `kept` of these blocks have: block counts `b` to frames `b`."""
    newest_first = torch.tensor((0, *reversed(lengths_frames)))
    return newest_first.cumsum(0)[kept.clamp(max=len(lengths_frames))]


def prompt_kept(rows: int, *, drops: DropConfig, generator: torch.Generator) -> Tensor:
    """1 for rows that keep their prompt and 0 for rows that lose it, `b 1 1`."""
    return (torch.rand(rows, 1, 1, generator=generator) >= drops.prompt).float()


def block_lengths(blocks: int, *, block_frames: int, drops: DropConfig, draws: np.random.Generator) -> tuple[int, ...]:
    """Lengths of the blocks of one step in frames: all equal, or each off by up to `jitter_frames`."""
    reach = min(drops.jitter_frames, block_frames - 1)
    if draws.random() >= drops.jittered:
        reach = 0
    return tuple(int(block_frames + offset) for offset in draws.integers(-reach, reach + 1, size=blocks))


def longest_frames(blocks: int, *, block_frames: int, drops: DropConfig) -> int:
    """The most frames that `block_lengths` can add up to."""
    reach = min(drops.jitter_frames, block_frames - 1) if drops.jittered > 0.0 else 0
    return blocks * (block_frames + reach)
