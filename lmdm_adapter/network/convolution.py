"""Weight-normalised convolutions and the Snake activation, with the parameter names that checkpoints use."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _WeightNormed(nn.Module):
    """A convolution whose kernel is `weight_g * weight_v / |weight_v|`, one norm per index of the first axis.

    Salimans and Kingma 2016, eq. 2; the keys `weight_g`, `weight_v`, `bias` are those of torch's older `weight_norm`.
    """

    def __init__(self, shape: tuple[int, int, int], *, fan_in: int, bias_channels: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(fan_in)
        self.weight_v = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.weight_g = nn.Parameter(self._norm().detach().clone())
        self.bias = nn.Parameter(torch.empty(bias_channels).uniform_(-bound, bound)) if bias_channels else None

    def _norm(self) -> Tensor:
        return torch.linalg.vector_norm(self.weight_v, dim=(1, 2), keepdim=True)

    def kernel(self) -> Tensor:
        """The kernel that the convolution applies, in the layout of torch's convolutions."""
        return self.weight_v * (self.weight_g / self._norm())


class Conv1d(_WeightNormed):
    """Weight-normalised convolution, `b c n -> b c' (n / stride)`, for odd kernels or even strides."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = True
    ) -> None:
        fan_in = in_channels * kernel
        super().__init__((out_channels, in_channels, kernel), fan_in=fan_in, bias_channels=out_channels if bias else 0)
        self.stride, self.dilation = stride, dilation
        self.padding = (dilation * (kernel - 1)) // 2 if stride == 1 else stride // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.kernel(), self.bias, self.stride, self.padding, self.dilation)

    def folded(self) -> nn.Module:
        """The same convolution with its kernel computed once; for inference."""
        return _Folded(self, F.conv1d, (self.stride, self.padding, self.dilation))


class ConvTranspose1d(_WeightNormed):
    """Weight-normalised transposed convolution of kernel `2 * stride`, `b c n -> b c' (n * stride)`, even strides."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        fan_in = out_channels * 2 * stride  # torch's default initialisation counts the second axis, here the output
        super().__init__((in_channels, out_channels, 2 * stride), fan_in=fan_in, bias_channels=out_channels)
        self.stride, self.padding = stride, stride // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose1d(x, self.kernel(), self.bias, self.stride, self.padding)

    def folded(self) -> nn.Module:
        """The same convolution with its kernel computed once; for inference."""
        return _Folded(self, F.conv_transpose1d, (self.stride, self.padding))


class Snake(nn.Module):
    """`x + sin(a x)^2 / b` per channel, with `a = exp(alpha)` and `b = exp(beta)` (arXiv 2006.08195, 2206.04658)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + torch.sin(x * alpha).square() * (1.0 / (beta + 1e-9))


class _Folded(nn.Module):
    """A convolution with a fixed kernel."""

    def __init__(self, source: Conv1d | ConvTranspose1d, convolve: object, geometry: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("weight", source.kernel().detach())
        self.register_buffer("bias", None if source.bias is None else source.bias.detach())
        self.convolve, self.geometry = convolve, geometry

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.weight, self.bias, *self.geometry)


def folded(module: nn.Module) -> nn.Module:
    """A module that computes the same with every weight norm worked out once; `module` is left as it is.

    For inference only: the kernels are detached, later changes of `module` do not reach them, and the result has other
    keys than a checkpoint. All other parameters are shared.
    """
    if isinstance(module, Conv1d | ConvTranspose1d):
        return module.folded()
    clone = copy.copy(module)
    clone.__dict__["_parameters"] = dict(module._parameters)
    clone.__dict__["_modules"] = {name: folded(child) for name, child in module._modules.items()}
    return clone
