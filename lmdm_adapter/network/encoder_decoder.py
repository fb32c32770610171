"""The encoder-decoder regime: context attends to all of itself, anew for every block, and never to the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.rope import rotate
from lmdm_adapter.network.streaming import Prompt, Window
from lmdm_adapter.state import Block


def encode_window(
    dit: DiT, blocks: Sequence[Block], *, prompt: Prompt, rows: int, prefix_distance: int
) -> Window:
    """One bidirectional pass over the latents of the context `blocks`, for all denoise steps of the block after them.

    `rows` is the batch of K/V to compute (doubled under guidance), `prompt` the cross K/V of that batch
    (arXiv 2605.22717, encoder-decoder).
    """
    if not blocks:
        return Window((), 0)
    tokens = torch.cat([dit.context_tokens(block.latents, block.controls) for block in blocks], dim=1)
    frames, layers = tokens.shape[1], []
    positions = torch.arange(prefix_distance - frames, prefix_distance, device=tokens.device)
    rotation = dit.transformer.rotary_pos_emb(positions)

    def attend(_layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        layers.append(KeysValues(rotate(k, rotation), v))
        return F.scaled_dot_product_attention(rotate(q, rotation), *layers[-1])

    dit.transformer(tokens.repeat(rows // tokens.shape[0], 1, 1), prompt, attend)
    return Window(tuple(layers), frames)


def window_velocity(
    dit: DiT, context: Tensor, noisy: Tensor, t: Tensor, *, prefix_distance: int, cross: Tensor | None = None,
    global_cond: Tensor | None = None, controls: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The training forward: whole windows as batch rows in one masked pass, equal to playing (law 2).

    `context` is `b c s`, `noisy` `b c n` at levels `t` (`b`), `controls` `b e (s + n)`. Returns `b c n`.
    """
    past, frames = context.shape[-1], noisy.shape[-1]
    own = [None, None] if controls is None else [controls[..., :past], controls[..., past:]]
    tokens = torch.cat(
        [dit.context_tokens(context, own[0]), dit.prefix_token(t, global_cond), dit.target_tokens(noisy, own[1])], dim=1
    )
    positions = torch.arange(prefix_distance - past, prefix_distance + frames, device=noisy.device)
    positions = torch.cat([positions[:past], positions.new_zeros(1), positions[past:]])
    rotation = dit.transformer.rotary_pos_emb(positions)
    is_target = torch.arange(tokens.shape[1], device=noisy.device) >= past
    mask = is_target[:, None] | ~is_target

    def attend(_layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v, attn_mask=mask)

    return dit.velocity(dit.transformer(tokens, dit.prompt_keys_values(cross), attend)[:, past + 1 :])
