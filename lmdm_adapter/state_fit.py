"""Whether a state belongs to a model, by the shapes of what it holds."""

from __future__ import annotations

import torch

from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_stream import CodecState
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiTConfig
from lmdm_adapter.state import Block, StreamState


def require_fit(state: StreamState, dit: DiTConfig, codec: Codec) -> None:
    """Raise LmdmError for a state whose latents, keys and values, or codec state a model cannot have made."""
    rows = len(state.seeds)
    for block in state.blocks + state.pending:
        _require_block(block, dit, rows=rows)
    known, held = state.codec, codec
    if not isinstance(known, CodecState):
        raise LmdmError("This state has no codec state, so it cannot become sound; start one with LiveModel.start.")
    found = (*known.latents.shape[:2], *known.tail.shape[:2])
    if found != (rows, held.latent_channels, rows, held.channels):
        _refuse(f"its codec state has rows and channels {found}")


def require_finite(state: StreamState) -> None:
    """Raise LmdmError for a state with NaN or infinity: everything after it would be lost."""
    for block in state.history + state.blocks + state.pending:
        for tensor in (block.latents, block.controls, block.keys_values):
            if tensor is not None and not torch.isfinite(tensor).all():
                raise LmdmError("This state holds NaN or infinity; go on from an earlier one.")


def _require_block(block: Block, dit: DiTConfig, *, rows: int) -> None:
    shape = tuple(block.latents.shape)
    if len(shape) != 3 or shape[:2] != (rows, dit.io_channels):
        _refuse(f"a block has latents of shape {shape}, not ({rows}, {dit.io_channels}, frames)")
    if block.controls is not None and tuple(block.controls.shape) != (rows, dit.extra_control_channels, shape[2]):
        _refuse(f"a block has frame controls of shape {tuple(block.controls.shape)}")
    if block.keys_values is not None:
        layers, two, branches, heads, frames, width = block.keys_values.shape
        own = (dit.depth, 2, dit.num_heads, shape[2], dit.embed_dim // dit.num_heads)
        if (layers, two, heads, frames, width) != own or branches not in (rows, 2 * rows):
            _refuse(f"a block has keys and values of shape {tuple(block.keys_values.shape)}")


def _refuse(reason: str) -> None:
    raise LmdmError(f"This state is of another model: {reason}. Start a stream with this one, or load its own model.")
