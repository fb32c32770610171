"""The encoder-decoder regime: context attends to all of itself, anew for every block, and never to the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.masks import visible
from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.rope import rotate
from lmdm_adapter.network.streaming import Prompt, Window
from lmdm_adapter.state import Block

_OUT_OF_REACH, _CONTEXT, _TARGET = -2, 0, 1


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
    global_cond: Tensor | None = None, controls: Tensor | None = None, target_controls: Tensor | None = None,
    kept_frames: Tensor | None = None, checkpointed: bool = False,
) -> Tensor:  # fmt: skip
    """The training forward: whole windows as batch rows in one masked pass, equal to playing (law 2).

    `context` is `b c s`, `noisy` `b c n` at levels `t` (`b`), `controls` `b e (s + n)`; `target_controls` (`b e n`)
    stand in the place of the target's. `kept_frames` (`b`) drops context in the mask: a row is played as if it had its
    newest `kept_frames` frames of context alone. `checkpointed` trades a second forward pass for memory.
    Returns `b c n`.
    """
    past, frames = context.shape[-1], noisy.shape[-1]
    own = [None, None] if controls is None else [controls[..., :past], controls[..., past:]]
    own[1] = own[1] if target_controls is None else target_controls
    tokens = torch.cat(
        [dit.context_tokens(context, own[0]), dit.prefix_token(t, global_cond), dit.target_tokens(noisy, own[1])], dim=1
    )
    positions = torch.arange(prefix_distance - past, prefix_distance + frames, device=noisy.device)
    positions = torch.cat([positions[:past], positions.new_zeros(1), positions[past:]])
    rotation = dit.transformer.rotary_pos_emb(positions)
    mask = window_mask(past, 1 + frames, kept_frames=kept_frames, device=noisy.device)

    def attend(_layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v, attn_mask=mask)

    prompt = dit.prompt_keys_values(cross)
    return dit.velocity(dit.transformer(tokens, prompt, attend, checkpointed=checkpointed)[:, past + 1 :])


def window_mask(
    context_frames: int, target_tokens: int, *, kept_frames: Tensor | None, device: torch.device
) -> Tensor:
    """Who sees whom in a window of [context | target]: bool `b 1 q k`, or `1 1 q k` when nothing is dropped.

    It is the block-causal predicate, for a context that is one single block; what is dropped is a block out of reach.
    """
    age_frames = torch.arange(context_frames, 0, -1, device=device)[None]
    dropped = age_frames > (context_frames if kept_frames is None else kept_frames[:, None])
    context = torch.where(dropped, _OUT_OF_REACH, _CONTEXT)
    block = torch.cat([context, context.new_full((len(context), target_tokens), _TARGET)], dim=1)
    is_target = block == _TARGET
    return visible(
        block[:, None, :, None], is_target[:, None, :, None], block[:, None, None], is_target[:, None, None],
        context_blocks=1,
    )  # fmt: skip
