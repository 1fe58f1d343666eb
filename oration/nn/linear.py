"""Linear layers with frozen weights, laid out for speed or rounded to fewer bits. Layers only; know no speech.

At one row a linear layer costs what reading its weights costs, so fewer bytes are less time; at many rows it costs its
arithmetic, and there CPUs with bfloat16 and 8-bit dot products (AVX-512 BF16 and VNNI) do more at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput

MANY = 64
"""Rows from which on the second of two kernels for 8 bits is the faster."""
FULL = 4
"""Rows that oneDNN multiplies faster than two or three, which are filled up to it."""

Weights = Literal["fp32", "bf16", "int8"]

_pointwise: Any = torch.ops.mkldnn._linear_pointwise.default if torch.backends.mkldnn.is_available() else None
_plus: Any = torch.ops.mkldnn._linear_pointwise.binary if torch.backends.mkldnn.is_available() else None


def frozen(layer: nn.Linear, weights: Weights, *, alone: bool = True) -> nn.Module:
    """The same layer for inference, with its weights in this precision. Inputs and outputs stay what they were.

    Args:
        alone: single rows may come, for which weights in float32 are held in a second order.

    Raises:
        BadInput: another precision.
    """
    known(weights)
    with torch.no_grad():
        if weights == "int8":
            return Int8Linear(layer)
        return PackedLinear(layer, torch.float32 if weights == "fp32" else torch.bfloat16, alone=alone)


def known(weights: str) -> Weights:
    """The precision. Raises BadInput for one that frozen weights cannot have."""
    if weights not in ("fp32", "bf16", "int8"):
        raise BadInput(f"weights={weights!r} is no precision of frozen weights; take 'fp32', 'bf16' or 'int8'")
    return cast(Weights, weights)


def matrix(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer of the weight float[out, in]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def freeze(module: nn.Module, weights: Weights, make: Callable[[nn.Linear, Weights], nn.Module] = frozen) -> None:
    """Put `frozen` layers, or those that `make` makes, in the place of all linear layers inside a module."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, make(child, weights))
        else:
            freeze(child, weights, make)


class PackedLinear(nn.Module):
    """float32 or bfloat16 weights in the blocked order of oneDNN; elsewhere than on a CPU, in their own.

    In float32 it gives what `nn.Linear` gives, but for the order of its sums. `alone`: a single row may come too.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, alone: bool = True) -> None:
        super().__init__()
        self.dtype = dtype
        weight = layer.weight.detach().to(dtype)
        self.bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self.packed: Tensor | None = None
        self.plain: Tensor | None = None
        self.across: Tensor | None = None
        if weight.device.type == "cpu" and torch.backends.mkldnn.is_available():
            # The order for 8 rows is good for any number but one.
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, 8)
            if alone and dtype == torch.float32 and layer.out_features >= 2 * layer.in_features:
                self.across = weight.t().contiguous()  # one row times a wide matrix runs faster along its columns
        else:
            self.plain = weight

    def forward(self, x: Tensor) -> Tensor:
        """float[..., in] -> float[..., out]."""
        own = x.dtype
        if own != self.dtype:
            x = x.to(self.dtype)
        if self.packed is None:
            assert self.plain is not None
            return F.linear(x, self.plain, self.bias).to(own)
        rows = x.numel() // x.shape[-1]
        if self.across is not None and rows == 1:
            y = x @ self.across
            return (y if self.bias is None else y + self.bias).to(own)
        if not 1 < rows < FULL:
            return _pointwise(x, self.packed, self.bias, "none", [], "").to(own)
        full = F.pad(x.reshape(rows, -1), (0, 0, 0, FULL - rows))
        y = _pointwise(full, self.packed, self.bias, "none", [], "")[:rows]
        return y.view(*x.shape[:-1], -1).to(own)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """`other` + the layer, float[N, out]"""
        if self.packed is None or x.dtype != self.dtype:
            return other + self(x)
        return _plus(x, other, self.packed, self.bias, "add")

    def gelu(self, x: Tensor) -> Tensor:
        """The exact GELU of the layer, float[N, out]"""
        if self.packed is None or x.dtype != self.dtype:
            return F.gelu(self(x))
        return _pointwise(x, self.packed, self.bias, "gelu", [], "none")


class Int8Linear(nn.Module):
    """Weights of 8 bits with a scale for each output, and inputs of 8 bits with a scale for each row.

    A row's result does not depend on its neighbours, so a batch gives what single calls give. Rounding to nearest in
    both is what Dettmers et al. 2022 (arXiv:2208.07339, section 2.1) call vector-wise quantization.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        self.size, self.bias = layer.out_features, None if layer.bias is None else layer.bias.detach().float()
        self.scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        self.few: Any = None
        self.many: Any = None
        self.plain: Tensor | None = None
        if weight.device.type == "cpu" and "fbgemm" in torch.backends.quantized.supported_engines:
            self._pack(weight)
        else:
            self.plain = (weight / self.scale[:, None]).round().to(torch.int8)

    def _pack(self, weight: Tensor) -> None:
        """For few rows. The kernel has one scale for all of them, from the least and the greatest number it sees.

        So rows are brought to -1 .. 1, and that range's ends stand among four inputs more, which count for nothing.
        """
        zeros = torch.zeros(self.size, dtype=torch.long)
        with warnings.catch_warnings():  # torch plans to give this name to another library
            warnings.simplefilter("ignore")
            wide = torch.quantize_per_channel(F.pad(weight, (0, 4)), self.scale.double(), zeros, 0, torch.qint8)
        self.few = torch.ops.quantized.linear_prepack(wide, None)
        self.edge = torch.tensor([[1.0, -128 / 127, 0.0, 0.0]])
        # Without VNNI a sum of two products may not fit 16 bits, unless inputs have 7 bits.
        self.narrow = not torch.cpu._is_vnni_supported()
        operation: Any = torch.ops.quantized.linear_dynamic
        self.multiply = operation.default._op  # without the tracing that looks at every argument in Python

    def forward(self, x: Tensor) -> Tensor:
        """float[..., in] -> float[..., out]."""
        if self.plain is not None:
            y = F.linear(x, self.plain.to(x.dtype)) * self.scale.to(x.dtype)
            return y if self.bias is None else y + self.bias
        rows = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
        most = rows.abs().amax(-1, keepdim=True).clamp_(min=1e-12)
        if len(rows) < MANY or self.narrow:
            y = self.multiply(torch.cat((rows / most, self.edge.expand(len(rows), 4)), -1), self.few, self.narrow)
        else:
            y = self._of_many(rows * (127 / most))
        y = y.mul_(most)
        if x.dim() != 2:
            y = y.view(*x.shape[:-1], self.size)
        return y if self.bias is None else y + self.bias

    def _of_many(self, rows: Tensor) -> Tensor:
        """The same product by oneDNN, whose kernel is faster for many rows; packed when it is first asked for."""
        if self.many is None:
            weight = torch.ops.quantized.linear_unpack(self.few)[0].int_repr()[:, :-4].contiguous()
            self.many = torch.ops.onednn.qlinear_prepack(weight, list(rows.shape))
        whole = rows.add_(128).round_().to(torch.uint8)
        zeros = torch.zeros(self.size, dtype=torch.int32)
        return torch.ops.onednn.qlinear_pointwise(
            whole, 1 / 127, 128, self.many, self.scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
