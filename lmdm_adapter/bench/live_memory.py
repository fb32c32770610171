"""Memory of tensors while a call runs, told by torch's own bookkeeping: exact, and the same on every allocator."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveStorages(TorchDispatchMode):
    """Bytes of storages that were made inside on `device` (None: anywhere) and live, and the most there ever were."""

    def __init__(self, device: torch.device | None) -> None:
        super().__init__()
        self.device = device
        self.live_bytes = self.peak_bytes = 0
        self.known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True  # of a tensor without values the code only asks whether they are finite
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs or {})) if _has_storage(leaf)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if _has_storage(leaf) and id(leaf.untyped_storage()) not in given:
                self._made(leaf.untyped_storage())
        return out

    def _made(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key in self.known or (self.device is not None and storage.device.type != self.device.type):
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


class Counted(NamedTuple):
    """What a call returned, and the most memory that the tensors it made took at one time."""

    result: Any
    peak_bytes: int


def counted(call: Callable[[], object], *, device: torch.device | None = None) -> Counted:
    """Run a call and count; what was there before does not count. With `device` only its tensors do.

    Tensors of the device `meta` have no values, but sizes: on it the peak of a call is told without its memory.
    """
    with _LiveStorages(device) as storages:
        result = call()
    return Counted(result, storages.peak_bytes)


def peak_bytes(call: Callable[[], object], *, device: torch.device | None = None) -> int:
    """The peak alone of `counted`."""
    return counted(call, device=device).peak_bytes
