"""The start of a diffusion transformer that is trained from nothing."""

from __future__ import annotations

import torch
from torch import nn

from lmdm_adapter.network.dit import DiT


@torch.no_grad()
def silence_branches(dit: DiT) -> None:
    """Zero what hosts zero, every branch of the transformer and both 1x1 convolutions: depth starts harmless."""
    for layer in dit.transformer.layers:
        silenced: list[nn.Linear] = [layer.self_attn.to_out, layer.ff.ff[2]]
        if hasattr(layer, "cross_attn"):
            silenced.append(layer.cross_attn.to_out)
        for linear in silenced:
            nn.init.zeros_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
    nn.init.zeros_(dit.preprocess_conv.weight)
    nn.init.zeros_(dit.postprocess_conv.weight)
