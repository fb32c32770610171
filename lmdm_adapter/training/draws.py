"""Randomness of training as a pure function of (seed, step, purpose): a resumed run draws what it would have drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def numpy_draws(seed: int, step: int, purpose: str) -> np.random.Generator:
    """A fresh numpy generator for one purpose in one step."""
    return np.random.default_rng(_number(seed, step, purpose))


def torch_draws(seed: int, step: int, purpose: str) -> torch.Generator:
    """A fresh CPU torch generator for one purpose in one step."""
    return torch.Generator().manual_seed(_number(seed, step, purpose))


def normal(shape: Sequence[int], *, seed: int, step: int, purpose: str, device: torch.device) -> Tensor:
    """Unit normal noise in fp32, drawn on the CPU so that every device trains on the same numbers."""
    return torch.randn(tuple(shape), generator=torch_draws(seed, step, purpose)).to(device)


def _number(seed: int, step: int, purpose: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{step}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
