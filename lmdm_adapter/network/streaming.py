"""The passes of block-causal play: commit finished blocks, denoise the next one against their K/V, or both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.masks import block_numbers, clean_mask, visible
from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.rope import Rotation, rotate
from lmdm_adapter.state import Block

Prompt = Sequence[KeysValues] | None


def kept_rows(block: Block, rows: int) -> Tensor:
    """K/V of a committed block for a batch of `rows`: a guided block serves an unguided batch by its first half."""
    assert block.keys_values is not None, "only committed blocks have K/V"
    return block.keys_values[:, :, :rows]


def commit(
    dit: DiT, blocks: Sequence[Block], pending: Sequence[Block], *, prompt: Prompt, rows: int, context_blocks: int
) -> tuple[Block, ...]:
    """Give `pending` blocks their K/V, each seeing itself and the `context_blocks` before it (method: attention).

    All of them go through the network in one masked pass. `rows` is the batch of K/V to compute (doubled under
    guidance), `prompt` the cross K/V of that batch. Returns the pending blocks, committed, oldest first.
    """
    if not pending:
        return ()
    attend = _CommitAttention(dit, blocks, pending, rows=rows, context_blocks=context_blocks)
    tokens = torch.cat([dit.context_tokens(block.latents, block.controls) for block in pending], dim=1)
    dit.transformer(_to_rows(tokens, rows), prompt, attend)
    recorded = torch.stack([torch.stack(layer) for layer in attend.recorded])
    return _with_keys_values(pending, recorded)


def _with_keys_values(pending: Sequence[Block], recorded: Tensor) -> tuple[Block, ...]:
    """Hand each block its part of the recorded K/V `l 2 b h n d`."""
    parts = recorded.split([block.frames for block in pending], dim=-2)
    return tuple(
        Block(block.latents, block.controls, part.contiguous()) for block, part in zip(pending, parts, strict=True)
    )


def _to_rows(tokens: Tensor, rows: int) -> Tensor:
    """Repeat the batch for the null branch where `rows` asks for it."""
    return tokens.repeat(rows // tokens.shape[0], 1, 1)


class _RecordingAttention:
    """Masked attention of new tokens over [context | new tokens]; keeps each layer's new K/V, un-rotated."""

    context: list[Tensor]
    mask: Tensor
    query_rotation: Rotation
    key_rotation: Rotation
    recorded: list[tuple[Tensor, Tensor]]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.recorded.append((k, v))
        keys = torch.cat([*(kv[layer, 0] for kv in self.context), k], dim=-2)
        values = torch.cat([*(kv[layer, 1] for kv in self.context), v], dim=-2)
        q, keys = rotate(q, self.query_rotation), rotate(keys, self.key_rotation)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=self.mask)


class _CommitAttention(_RecordingAttention):
    """Pending tokens are new."""

    def __init__(
        self, dit: DiT, blocks: Sequence[Block], pending: Sequence[Block], *, rows: int, context_blocks: int
    ) -> None:
        device = pending[0].latents.device
        self.context = [kept_rows(block, rows) for block in blocks]
        lengths = tuple(block.frames for block in (*blocks, *pending))
        numbers = block_numbers(lengths, device=device)
        context_frames = sum(block.frames for block in blocks)
        self.mask = clean_mask(numbers[context_frames:], numbers, context_blocks=context_blocks)
        rotary = dit.transformer.rotary_pos_emb
        self.key_rotation = rotary(torch.arange(len(numbers), device=device))
        self.query_rotation = rotary(torch.arange(context_frames, len(numbers), device=device))
        self.recorded = []


@dataclass(frozen=True, eq=False)
class Window:
    """Context of one block, ready for its denoise steps: rotated keys and values `b h n d` per layer.

    Positions are relative to the window: the target starts at `prefix_distance`, the prefix sits at 0.
    """

    layers: tuple[KeysValues, ...]
    frames: int

    @staticmethod
    def of(dit: DiT, blocks: Sequence[Block], *, rows: int, prefix_distance: int) -> Window:
        """Rotate the K/V of the committed `blocks` once, for all denoise steps of the block that follows."""
        if not blocks:
            return Window((), 0)
        joined = torch.cat([kept_rows(block, rows) for block in blocks], dim=-2)
        frames = joined.shape[-2]
        positions = torch.arange(prefix_distance - frames, prefix_distance, device=joined.device)
        rotation = dit.transformer.rotary_pos_emb(positions)
        layers = tuple(KeysValues(rotate(layer[0], rotation), layer[1]) for layer in joined)
        return Window(layers, frames)


def denoise(
    dit: DiT, x: Tensor, t: Tensor, *, window: Window, prefix_distance: int, prompt: Prompt,
    global_cond: Tensor | None, controls: Tensor | None,
) -> Tensor:  # fmt: skip
    """Velocity of a target block `b c n` at noise levels `t` (`b`), seeing its window, its prefix and itself."""
    tokens = torch.cat([dit.prefix_token(t, global_cond), dit.target_tokens(x, controls)], dim=1)
    frames = torch.arange(prefix_distance, prefix_distance + x.shape[-1], device=x.device)
    rotation = dit.transformer.rotary_pos_emb(torch.cat([frames.new_zeros(1), frames]))

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k = rotate(k, rotation)
        if window.layers:
            context = window.layers[layer]
            k, v = torch.cat([context.keys, k], dim=-2), torch.cat([context.values, v], dim=-2)
        return F.scaled_dot_product_attention(rotate(q, rotation), k, v)

    return dit.velocity(dit.transformer(tokens, prompt, attend)[:, 1:])


def denoise_committing(
    dit: DiT, x: Tensor, t: Tensor, *, blocks: Sequence[Block], pending: Sequence[Block], prefix_distance: int,
    context_blocks: int, prompt: Prompt, global_cond: Tensor | None, controls: Tensor | None,
) -> tuple[Tensor, tuple[Block, ...]]:  # fmt: skip
    """`denoise` with `commit` of the `pending` blocks in the same pass (arXiv 2605.22717, the fused first step).

    Finished rows are blind to the target, so both results are those of the separate passes. Returns the velocity of
    `x` (`b c n`, all branches) and the pending blocks, committed.
    """
    finished = torch.cat([dit.context_tokens(block.latents, block.controls) for block in pending], dim=1)
    rows, frames = x.shape[0], finished.shape[1]
    target = torch.cat([dit.prefix_token(t, global_cond), dit.target_tokens(x, controls)], dim=1)
    attend = _FusedAttention(
        dit, blocks, pending, x.shape[-1], rows=rows, prefix_distance=prefix_distance, context_blocks=context_blocks
    )
    hidden = dit.transformer(torch.cat([_to_rows(finished, rows), target], dim=1), prompt, attend)
    recorded = torch.stack([torch.stack([part[..., :frames, :] for part in layer]) for layer in attend.recorded])
    return dit.velocity(hidden[:, frames + 1 :]), _with_keys_values(pending, recorded)


class _FusedAttention(_RecordingAttention):
    """Tokens of [pending | prefix | target] are new."""

    def __init__(
        self, dit: DiT, blocks: Sequence[Block], pending: Sequence[Block], target_frames: int, *, rows: int,
        prefix_distance: int, context_blocks: int,
    ) -> None:  # fmt: skip
        device = pending[0].latents.device
        self.context = [kept_rows(block, rows) for block in blocks]
        lengths = tuple(block.frames for block in (*blocks, *pending))
        clean, cached = sum(lengths), sum(block.frames for block in blocks)
        number = block_numbers((*lengths, 1 + target_frames), device=device)
        is_target = torch.arange(len(number), device=device) >= clean
        self.mask = visible(
            number[cached:, None], is_target[cached:, None], number, is_target, context_blocks=context_blocks
        )
        frames = torch.arange(prefix_distance - clean, prefix_distance + target_frames, device=device)
        positions = torch.cat([frames[:clean], frames.new_zeros(1), frames[clean:]])
        rotary = dit.transformer.rotary_pos_emb
        self.key_rotation, self.query_rotation = rotary(positions), rotary(positions[cached:])
        self.recorded = []
