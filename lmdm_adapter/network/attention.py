"""Attention layers under the host's parameter names; who attends to whom is the caller's business."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError

QK_NORM_EPS = 1e-6


class KeysValues(NamedTuple):
    """Keys and values of one layer, each `b h n d`."""

    keys: Tensor
    values: Tensor


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """`b n (h d) -> b h n d`."""
    return rearrange(x, "b n (h d) -> b h n d", d=head_dim)


def merge_heads(x: Tensor) -> Tensor:
    """`b h n d -> b n (h d)`."""
    return rearrange(x, "b h n d -> b n (h d)")


class QKNorm(nn.Module):
    """Base of both attentions: optional LayerNorm on queries and keys, named `q_norm` and `k_norm`."""

    def __init__(self, head_dim: int, qk_norm: str) -> None:
        super().__init__()
        if qk_norm not in ("none", "ln"):
            raise LmdmError(f"qk_norm {qk_norm!r} is not supported; the supported ones are 'ln' and 'none'.")
        self.head_dim = head_dim
        if qk_norm == "ln":
            self.q_norm: nn.Module = nn.LayerNorm(head_dim, eps=QK_NORM_EPS)
            self.k_norm: nn.Module = nn.LayerNorm(head_dim, eps=QK_NORM_EPS)
        else:
            self.q_norm, self.k_norm = nn.Identity(), nn.Identity()


class SelfAttention(QKNorm):
    """Projections of self-attention; the attention in between is an argument of the transformer's forward.

    `split` is for checkpoints that hold `to_q` and `to_kv` in place of the fused `to_qkv`.
    """

    def __init__(self, width: int, head_dim: int, qk_norm: str, *, split: bool = False) -> None:
        super().__init__(head_dim, qk_norm)
        self.split = split
        if split:
            self.to_q = nn.Linear(width, width, bias=False)
            self.to_kv = nn.Linear(width, width * 2, bias=False)
        else:
            self.to_qkv = nn.Linear(width, width * 3, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`b n d` to normalised, un-rotated queries, keys and values, each `b h n d`."""
        parts = (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1)) if self.split else self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.head_dim) for part in parts)
        return self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype), v


class CrossAttention(QKNorm):
    """Attention to the prompt; fewer key heads than query heads are shared in groups."""

    def __init__(self, width: int, context_width: int, head_dim: int, qk_norm: str) -> None:
        super().__init__(head_dim, qk_norm)
        heads, key_heads = width // head_dim, context_width // head_dim
        if key_heads < 1 or heads % key_heads:
            raise LmdmError(
                f"Cross-attention with {heads} query heads and {key_heads} key heads is not supported; "
                "the key heads must divide the query heads."
            )
        self.heads_per_key = heads // key_heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(context_width, context_width * 2, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def keys_values(self, cross: Tensor) -> KeysValues:
        """Keys and values of a prompt `b m d`; they depend on the prompt alone, so they can be kept."""
        k, v = (split_heads(part, self.head_dim) for part in self.to_kv(cross).chunk(2, dim=-1))
        k = self.k_norm(k).to(v.dtype)
        return KeysValues(*(x.repeat_interleave(self.heads_per_key, dim=1) for x in (k, v)))

    def forward(self, x: Tensor, prompt: KeysValues) -> Tensor:
        """`b n d -> b n d`."""
        q = self.q_norm(split_heads(self.to_q(x), self.head_dim)).to(prompt.values.dtype)
        return self.to_out(merge_heads(F.scaled_dot_product_attention(q, prompt.keys, prompt.values)))
