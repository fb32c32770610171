"""Memory of tensors while a call runs, told by torch's own bookkeeping: exact, and the same on every allocator."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveStorages(TorchDispatchMode):
    """Bytes of the storages that were made inside and are still alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self.known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs or {})) if _has_storage(leaf)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if _has_storage(leaf) and id(leaf.untyped_storage()) not in given:
                self._made(leaf.untyped_storage())
        return out

    def _made(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key in self.known:
            return
        size = storage.nbytes()
        self.known[key] = weakref.ref(storage, lambda _ref, key=key: self._freed(key)), size
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _freed(self, key: int) -> None:
        _, size = self.known.pop(key)
        self.live_bytes -= size


def _has_storage(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout is torch.strided


def peak_bytes(call: Callable[[], object]) -> int:
    """The most memory that tensors made by `call` took at one time; what was there before does not count."""
    with _LiveStorages() as storages:
        call()
    return storages.peak_bytes
