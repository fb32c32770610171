"""The parallel training forward: every block of a long sequence at once, on the computation that streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.block_local import BlockLocalAttention
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.layout import Layout

if TYPE_CHECKING:
    from lmdm_adapter.network.flex import FlexAttention


def parallel_velocity(
    dit: DiT, clean: Tensor, noisy: Tensor, t: Tensor, *, lengths_frames: Sequence[int], context_blocks: int,
    prefix_distance: int, cross: Tensor | None = None, global_cond: Tensor | None = None,
    controls: Tensor | None = None, target_controls: Tensor | None = None, kept_blocks: Tensor | None = None,
    checkpointed: bool = False, flex: bool | None = None,
) -> Tensor:  # fmt: skip
    """Velocity of all target blocks at once, equal to playing them one by one with cached K/V (law 2).

    `clean` is `b c n` in blocks of `lengths_frames`, `controls` is `b e n`; `target_controls` (`b e m`) stand in their
    place where targets are told something else than the same frames of the context. `noisy` is `b c m`, `t` holds one
    noise level per target block, `b k`: the targets are the last k blocks, m frames, often all. `kept_blocks` (`b k`)
    drops context in the mask: target j sees only its newest `kept_blocks[:, j]` context blocks. `checkpointed` trades
    a second forward pass for memory. `flex` attends by FlexAttention (by default on CUDA) or block by block: one
    function. Returns `b c m`. Raises LmdmError when the block lengths do not add up.
    """
    layout = Layout(tuple(lengths_frames), len(lengths_frames) - t.shape[1])
    if (layout.frames, layout.target_frames) != (clean.shape[-1], noisy.shape[-1]):
        shapes = f"{tuple(clean.shape)} and {tuple(noisy.shape)}"
        raise LmdmError(
            f"Blocks of {layout.frames} frames in all, the last {t.shape[1]} of them noisy, do not fit latents of "
            f"shapes {shapes}."
        )
    if target_controls is None and controls is not None:
        target_controls = controls[..., layout.starts[layout.first_target] :]
    tokens = [dit.context_tokens(clean, controls), dit.target_tokens(noisy, target_controls)]
    tokens += [dit.prefix_token(t[:, block], global_cond) for block in range(t.shape[1])]
    rotation = dit.transformer.rotary_pos_emb(layout.positions(prefix_distance, clean.device))
    attention = _attention(clean.device.type == "cuda" if flex is None else flex)
    attend = attention(layout, rotation, context_blocks=context_blocks, kept_blocks=kept_blocks)
    prompt = dit.prompt_keys_values(cross)
    hidden = dit.transformer(torch.cat(tokens, dim=1), prompt, attend, checkpointed=checkpointed)
    return dit.velocity(hidden[:, layout.frames : layout.frames + layout.target_frames])


def _attention(flex: bool) -> type[BlockLocalAttention] | type[FlexAttention]:
    if not flex:
        return BlockLocalAttention
    from lmdm_adapter.network.flex import FlexAttention  # its modules take seconds to import

    return FlexAttention
