"""What the host's generating functions change and never put back: flags of torch, and the seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def flags() -> tuple[bool, ...]:
    """The flags as they are."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return cuda.allow_tf32, cudnn.allow_tf32, cuda.allow_fp16_reduced_precision_reduction, cudnn.benchmark


@contextmanager
def put_back() -> Iterator[None]:
    """Afterwards flags and seed are the old ones, whatever the host did."""
    cuda, cudnn, before = torch.backends.cuda.matmul, torch.backends.cudnn, flags()
    with torch.random.fork_rng():
        yield
    cuda.allow_tf32, cudnn.allow_tf32, cuda.allow_fp16_reduced_precision_reduction, cudnn.benchmark = before
