"""Where the blocks of the parallel training forward lie in its token sequence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from lmdm_adapter.masks import block_numbers


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

    @property
    def tokens(self) -> int:
        """Length of the token sequence."""
        return self.frames + self.target_frames + len(self.target_lengths_frames)

    def token_blocks(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Block number of every token, and whether it belongs to a target: what `masks.visible` asks."""
        clean = block_numbers(self.lengths_frames, device=device)
        prefixes = torch.arange(self.first_target, len(self.lengths_frames), device=device)
        block = torch.cat([clean, clean[self.starts[self.first_target] :], prefixes])
        return block, torch.arange(len(block), device=device) >= self.frames
