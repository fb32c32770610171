"""Work of a block in frames through the network: counted by hooks, and as the method's formulas say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.spec import BlockSpec

DISCRETE_BASELINE_EVALUATIONS = 800
"""Evaluations of Magenta RealTime's token model for one chunk (arXiv 2605.22717, table of first-block times)."""


@dataclass
class Passes:
    """Forward passes of the transformer, and the frames that went through it per batch row, prefixes left out."""

    evaluations: int = 0
    frames: int = 0


def counted(dit: DiT, call: Callable[[], object]) -> Passes:
    """What `call` sends through the network."""
    passes = Passes()

    def on_transformer(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        passes.evaluations += 1
        passes.frames += arguments[0].shape[1]

    def on_prefix(_module: nn.Module, _arguments: tuple[Any, ...]) -> None:
        passes.frames -= 1

    hooks = [
        dit.transformer.register_forward_pre_hook(on_transformer),
        dit.to_timestep_embed.register_forward_pre_hook(on_prefix),
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return passes


def formula_frames(spec: BlockSpec, *, steps: int) -> int:
    """Frames through the network per block of `o` frames after `s` of context, in `steps` denoise steps.

    Outpaint `K (s + o)`, encoder-decoder `s + K o`, block-causal `o + K o` (arXiv 2605.22717, efficiency).
    """
    block, context = spec.block_frames, spec.context_frames
    extra = {"outpaint": steps * context, "encoder-decoder": context, "block-causal": block}
    return steps * block + extra[spec.regime]
