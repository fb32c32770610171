"""The arithmetic floor: the bare matrix products, convolutions and attentions of a call, without anything in between.

Work is recorded where torch hands it to its kernels, so nothing has to be counted by hand. A replay reads the same
weights from memory as the call did; activations are fresh, one per shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

ARITHMETIC = frozenset({
    "mm", "addmm", "bmm", "baddbmm", "_linear_pointwise", "convolution", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
})  # fmt: skip
REPLAYS = 3


@dataclass(frozen=True)
class Activation:
    """A tensor that was computed: only its layout matters."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @staticmethod
    def of(tensor: Tensor) -> Activation:
        """The layout of `tensor`."""
        return Activation(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)

    def made(self) -> Tensor:
        """A fresh tensor of this layout."""
        empty = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)
        return empty.fill_(1) if empty.dtype == torch.bool else empty.normal_()


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of a kernel; weights are the tensors themselves, activations their layouts."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class _Recorder(TorchDispatchMode):
    """Keeps the arithmetic of everything that runs inside it."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()
        self.weights, self.operations = weights, list[Operation]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func.overloadpacket.__name__ in ARITHMETIC:
            arguments = tuple(self._layout(value) for value in args)
            kept = {name: self._layout(value) for name, value in options.items()}
            self.operations.append(Operation(func, arguments, kept))
        return func(*args, **options)

    def _layout(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.is_mkldnn:  # only packed weights are laid out by oneDNN
            return value
        is_weight = value.untyped_storage().data_ptr() in self.weights
        return value if is_weight else Activation.of(value)


def recorded(call: Callable[[], object], *modules: nn.Module) -> list[Operation]:
    """The arithmetic of `call`, in order; `modules` own the weights that it reads."""
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    recorder = _Recorder({tensor.untyped_storage().data_ptr() for tensor in tensors})
    # Not in inference mode, in which composite operations reach the recorder undivided.
    with torch.inference_mode(False), torch.no_grad(), recorder:
        call()
    return recorder.operations


def floor_seconds(operations: Sequence[Operation], clock: Callable[[], float] = time.perf_counter) -> float:
    """The fastest of a few replays of bare arithmetic, in seconds; 0 for none."""
    made: dict[Activation, Tensor] = {}

    def ready(value: Any) -> Any:
        if not isinstance(value, Activation):
            return value
        if value not in made:
            made[value] = value.made()
        return made[value]

    calls = [
        partial(one.kernel, *map(ready, one.arguments), **{name: ready(value) for name, value in one.options.items()})
        for one in operations
    ]
    with torch.inference_mode():
        return min((_seconds(calls, clock) for _ in range(REPLAYS if calls else 0)), default=0.0)


def _seconds(calls: Sequence[Callable[[], object]], clock: Callable[[], float]) -> float:
    began = clock()
    for call in calls:
        call()
    return clock() - began
