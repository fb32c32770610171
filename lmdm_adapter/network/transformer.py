"""The transformer of the host's DiT: parameter names and arithmetic are the host's, the mask is an argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lmdm_adapter.network.attention import CrossAttention, KeysValues, SelfAttention, merge_heads
from lmdm_adapter.network.rope import RotaryEmbedding

FEED_FORWARD_MULTIPLE = 4
NORM_EPS = 1e-5
MIN_ROTARY_WIDTH = 32

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""`attend(layer, q, k, v) -> out`: self-attention over un-rotated `b h n d`; rotates, masks and caches as it likes."""


class LayerNorm(nn.Module):
    """The host's LayerNorm: a learned `gamma` and a constant `beta` that is saved all the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.register_buffer("beta", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """`b n d -> b n d`."""
        return F.layer_norm(x, x.shape[-1:], weight=self.gamma, bias=self.beta, eps=NORM_EPS)


class SwiGLU(nn.Module):
    """Gated input half of the feed-forward, `ff.ff.0.proj` in checkpoints."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, inner_width * 2)

    def forward(self, x: Tensor) -> Tensor:
        """`b n d -> b n i`."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.silu(gate)


class FeedForward(nn.Module):
    """SwiGLU feed-forward; the Identity keeps the host's numbering (`ff.ff.2` is the output layer)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner_width = width * FEED_FORWARD_MULTIPLE
        self.ff = nn.Sequential(SwiGLU(width, inner_width), nn.Identity(), nn.Linear(inner_width, width))

    def forward(self, x: Tensor) -> Tensor:
        """`b n d -> b n d`."""
        return self.ff(x)


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each on a normalised residual branch."""

    def __init__(self, width: int, head_dim: int, cross_width: int, qk_norm: str, *, split_qkv: bool = False) -> None:
        super().__init__()
        self.pre_norm = LayerNorm(width)
        self.self_attn = SelfAttention(width, head_dim, qk_norm, split=split_qkv)
        if cross_width:
            self.cross_attend_norm = LayerNorm(width)
            self.cross_attn = CrossAttention(width, cross_width, head_dim, qk_norm)
        self.ff_norm = LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, index: int, prompt: KeysValues | None, attend: Attend) -> Tensor:
        """`b n d -> b n d`; `index` is the layer's number, handed on to `attend`."""
        attended = attend(index, *self.self_attn.project(self.pre_norm(x)))
        x = x + self.self_attn.to_out(merge_heads(attended))
        if prompt is not None:
            x = x + self.cross_attn(self.cross_attend_norm(x), prompt)
        return x + self.ff(self.ff_norm(x))


class Transformer(nn.Module):
    """Layers between `project_in` and `project_out`; knows nothing of blocks, caches or noise levels."""

    def __init__(
        self, width: int, depth: int, *, head_dim: int, in_channels: int, out_channels: int, cross_width: int,
        qk_norm: str, split_qkv: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.project_in = nn.Linear(in_channels, width, bias=False)
        self.project_out = nn.Linear(width, out_channels, bias=False)
        self.rotary_pos_emb = RotaryEmbedding(max(head_dim // 2, MIN_ROTARY_WIDTH))
        self.layers = nn.ModuleList(
            TransformerLayer(width, head_dim, cross_width, qk_norm, split_qkv=split_qkv) for _ in range(depth)
        )

    def forward(
        self, x: Tensor, prompt: Sequence[KeysValues] | None, attend: Attend, *, checkpointed: bool = False,
        layers: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Token embeddings `b n d` to hidden states `b n d`; `prompt` holds each layer's cross K/V.

        `checkpointed` keeps the layers' inputs alone for the backward pass and computes the rest again; `attend` must
        not record then. `layers` stops after that many layers.
        """
        for index, layer in enumerate(self.layers[:layers]):
            own = None if prompt is None else prompt[index]
            if checkpointed:
                x = checkpoint(layer, x, index, own, attend, use_reentrant=False)
            else:
                x = layer(x, index, own, attend)
        return x
