"""The state of a stream, as immutable values: everything needed to continue and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError

HISTORY_BLOCKS = 256


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
    generated; `seeds` holds one seed per batch row. `history` are the latents that have left the window, at most
    `HISTORY_BLOCKS` of them, for `rewound`; they are never attended to.
    """

    blocks: tuple[Block, ...]
    pending: tuple[Block, ...]
    codec: Any
    frame_index: int
    block_index: int
    seeds: tuple[int, ...]
    history: tuple[Block, ...] = ()


def windowed(state: StreamState, blocks: tuple[Block, ...], *, context_blocks: int) -> StreamState:
    """`state` with the newest `context_blocks` of `blocks` as its window and nothing pending; the rest is history."""
    first = max(0, len(blocks) - context_blocks)
    return replace(state, blocks=blocks[first:], pending=(), history=_history(state, blocks[:first]))


def _history(state: StreamState, left: tuple[Block, ...]) -> tuple[Block, ...]:
    return (state.history + tuple(block.uncommitted() for block in left))[-HISTORY_BLOCKS:]


def recached(state: StreamState, *, context_blocks: int) -> StreamState:
    """`state` with the blocks that the next step hears moved to pending: it rebuilds their K/V under its own prompt.

    Equals a stream primed with the latents of these `context_blocks` blocks; what only older K/V carried is not kept.
    """
    known = tuple(block.uncommitted() for block in state.blocks + state.pending)
    first = max(0, len(known) - context_blocks)
    return replace(state, blocks=(), pending=known[first:], history=_history(state, known[:first]))


def forgotten(state: StreamState, blocks: int, *, context_blocks: int) -> StreamState:
    """`state` without the `blocks` oldest of the `context_blocks` that the next step would hear; the newest one stays.

    The next step plays as if their K/V had never been there; what they gave to the K/V of younger blocks stays.
    Raises LmdmError for a negative number.
    """
    if blocks < 0:
        raise LmdmError(f"Only 0 or more blocks can be forgotten, got {blocks}.")
    known, committed = state.blocks + state.pending, len(state.blocks)
    if not blocks or not known:
        return state
    cut = min(max(0, len(known) - context_blocks) + blocks, len(known) - 1)
    return replace(
        state, blocks=state.blocks[cut:], pending=state.pending[max(0, cut - committed) :],
        history=_history(state, known[:cut]),
    )  # fmt: skip


def rewound(state: StreamState, blocks: int, *, context_blocks: int, codec: Any = None) -> StreamState:
    """The moment `blocks` blocks ago, as a stream primed with the latents before it; the next step rebuilds their K/V.

    `codec` is the codec's state at that moment. A state that was kept goes back exactly, and for free.
    Raises LmdmError for a negative number, or more blocks than were played and are remembered with their context.
    """
    known = tuple(block.uncommitted() for block in state.history + state.blocks + state.pending)
    cut_off = len(state.history) >= HISTORY_BLOCKS
    most = min(state.block_index, len(known) - (context_blocks if cut_off else 0))
    if not 0 <= blocks <= most:
        raise LmdmError(f"This stream can be rewound by 0 to {most} blocks, got {blocks}.")
    kept, undone = known[: len(known) - blocks], known[len(known) - blocks :]
    first = max(0, len(kept) - context_blocks)
    return replace(
        state, blocks=(), pending=kept[first:], history=kept[:first], codec=codec,
        block_index=state.block_index - blocks, frame_index=state.frame_index - sum(b.frames for b in undone),
    )  # fmt: skip
