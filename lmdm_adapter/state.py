"""The state of a stream, as immutable values: everything needed to continue and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompt and settings of a batch: what the network is told besides the audio.

    `cross` is the cross-attention input `b m d`, `null_cross` the same for the null branch of guidance
    (zeros, or a negative prompt), `global_cond` the global input `b g`. Each is None where the host has none.
    """

    cross: Tensor | None = None
    null_cross: Tensor | None = None
    global_cond: Tensor | None = None

    def doubled(self) -> Conditioning:
        """The batch of guidance, rows [conditional, null]: the null branch differs in cross-attention only."""
        cross = self.cross
        if cross is not None:
            null = torch.zeros_like(cross) if self.null_cross is None else self.null_cross
            cross = torch.cat([cross, null])
        global_cond = None if self.global_cond is None else torch.cat([self.global_cond, self.global_cond])
        return Conditioning(cross=cross, global_cond=global_cond)


@dataclass(frozen=True, eq=False)
class Block:
    """One finished block: latents `b c n`, its own frame controls `b e n`, its un-rotated K/V `l 2 b h n d`.

    `keys_values` is None while the block is pending; its batch axis is doubled, [conditional, null], when the
    block was committed under guidance.
    """

    latents: Tensor
    controls: Tensor | None = None
    keys_values: Tensor | None = None

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.latents.shape[-1]

    def uncommitted(self) -> Block:
        """The same block without K/V."""
        return replace(self, keys_values=None)


@dataclass(frozen=True, eq=False)
class StreamState:
    """A moment of a stream. States share blocks, so forking two futures and replaying a take are free.

    `blocks` are committed context, oldest first; `pending` are finished blocks that the next step commits under
    its own prompt; `codec` is the codec's streaming state; `frame_index` and `block_index` count what was
    generated; `seeds` holds one seed per batch row.
    """

    blocks: tuple[Block, ...]
    pending: tuple[Block, ...]
    codec: Any
    frame_index: int
    block_index: int
    seeds: tuple[int, ...]


def recached(state: StreamState) -> StreamState:
    """`state` with its window moved back to pending: the next step rebuilds all K/V under its own prompt.

    Equals a stream primed with the window's latents; history that only the old K/V carried is not kept.
    """
    return replace(state, blocks=(), pending=tuple(block.uncommitted() for block in state.blocks + state.pending))
