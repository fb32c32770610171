"""Prompts in training: encoded by the model's own conditioners, which learn with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmdm_adapter.network.model import Network
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.draws import torch_draws
from lmdm_adapter.training.drops import DropConfig, prompt_kept


def conditioning_of(network: Network, prompts: Sequence[str], *, seconds: float, device: torch.device) -> Conditioning:
    """Features of a batch of prompts, with gradients: `cross b m d` and `global_cond b g`.

    The settings are those of play: `seconds_total` is `seconds`, `seconds_start` is 0.
    """
    config = network.config
    texts = [c.id for c in config.conditioners if c.type in ("t5", "hashed_words")]
    settings = {"seconds_start": 0.0, "seconds_total": seconds}
    encoded = network.conditioners([{**settings, **dict.fromkeys(texts, prompt)} for prompt in prompts], device)
    cross = [encoded[name][0] for name in config.cross_ids]
    global_cond = [encoded[name][0][:, 0] for name in config.global_ids]
    return Conditioning(
        cross=torch.cat(cross, dim=1) if cross else None,
        global_cond=torch.cat(global_cond, dim=-1) if global_cond else None,
    )


def with_dropped_prompts(cross: Tensor | None, *, drops: DropConfig, seed: int, step: int) -> Tensor | None:
    """Cross-attention features with some rows zeroed: what the null branch of guidance sees."""
    if cross is None:
        return None
    kept = prompt_kept(len(cross), drops=drops, generator=torch_draws(seed, step, "prompt drops"))
    return cross * kept.to(cross)
