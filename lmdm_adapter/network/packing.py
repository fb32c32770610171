"""Weights laid out for this CPU's matrix products, once, instead of anew in every product.

Live blocks are short: a product of a few dozen tokens with a large matrix spends up to half of its time on rearranging
the matrix. oneDNN, which torch carries, can keep it rearranged; torch's own compiler uses the same two operations.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class PackedLinear(nn.Module):
    """A linear layer for inference on the CPU; its matrix is a rearranged copy and cannot be saved or moved."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """`... i -> ... o`."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def packs(network: nn.Module) -> bool:
    """Whether the network's weights can be packed here: on the CPU, in fp32 or bf16, with oneDNN in this torch."""
    places = {(weight.device.type, weight.dtype) for weight in network.parameters()}
    if not torch.backends.mkldnn.is_available() or not places <= {("cpu", torch.float32), ("cpu", torch.bfloat16)}:
        return False
    # Older CPUs have no products of bf16 in oneDNN.
    return ("cpu", torch.bfloat16) not in places or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def packed(network: Module) -> Module:
    """The same network with packed linear layers, for inference only; everything but their matrices is shared.

    The matrices take their memory twice then.
    """
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    copied = copy.deepcopy(network, dict(shared))
    for name, module in list(copied.named_modules()):
        if type(module) is nn.Linear:  # a frame-control projection is no single product
            copied.set_submodule(name, PackedLinear(module))
    return copied
