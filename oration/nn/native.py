"""Linear layers and whole Transformer stacks in C (c/stack.c), for inference on a CPU. Layers only; know no speech.

A step of a small model takes torch longer to call than to compute. Here it is one call, which reads every weight once.
All weights may be in float32, in bfloat16 (computed in float32), or in 8 bits with a scale for each output, which meet
inputs of 8 bits with a scale for each row, as in `Int8Linear`. A row's result does not depend on its neighbours.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Sequence
from ctypes import POINTER, c_double, c_int64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.compiled import Compiled, compiled
from oration.nn.flat import FlatStack
from oration.nn.linear import Weights, known
from oration.nn.look import Cache
from oration.nn.positions import Rotary
from oration.nn.transformer import TransformerStack

SOURCE = Path(__file__).parent / "c" / "stack.c"
PANEL = 32
"""Outputs whose weights lie together."""
AT_ONCE = 1024
"""Steps of whole grids run at once, unless one grid has more: what they need then stays in the CPU's cache."""
KINDS: dict[str, int] = {"fp32": 0, "bf16": 1, "int8": 2}
MLPS = ("swiglu", "geglu", "gelu", "gelu_tanh", "relu")


class _Linear(ctypes.Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("weight", "scale", "sums", "bias")),
        *((name, c_int64) for name in ("inward", "outward", "kind")),
    )


class _Norm(ctypes.Structure):
    _fields_ = (("weight", c_void_p), ("bias", c_void_p), ("eps", c_double), ("kind", c_int64))


class _Block(ctypes.Structure):
    _fields_ = (
        *((name, _Norm) for name in ("before", "middle")),
        *((name, _Linear) for name in ("qkv", "out", "up", "down")),
    )


class _Stack(ctypes.Structure):
    _fields_ = (
        ("blocks", POINTER(_Block)),
        ("frequency", c_void_p),
        ("final", _Norm),
        *((name, c_int64) for name in ("layers", "dim", "heads", "kv_heads", "width", "ffn", "mlp")),
        *((name, c_int64) for name in ("window", "pairs", "interleaved")),
    )


class _Cache(ctypes.Structure):
    _fields_ = (
        ("keys", POINTER(c_void_p)),
        ("values", POINTER(c_void_p)),
        ("held", c_void_p),
        ("length", c_void_p),
        ("capacity", c_int64),
        ("line", c_void_p),
    )


@functools.cache
def status() -> Compiled:
    """The library, compiled when it is first asked for; or why there is none."""
    found = compiled(SOURCE)
    if found.library is not None:
        declared(found.library)
    return found


def declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, told what its functions take."""
    library.oration_linear.argtypes = (c_void_p, c_void_p, c_void_p, c_int64)
    library.oration_stack.argtypes = (*([c_void_p] * 4), c_int64, c_int64, c_int64)
    return library


def usable(module: nn.Module) -> bool:
    """Whether there is a library, and a module lies where it computes: float32 on the CPU."""
    weights = [*module.parameters()]
    return all(w.device.type == "cpu" and w.dtype == torch.float32 for w in weights) and status().library is not None


class NativeLinear(nn.Module):
    """A linear layer with frozen weights, laid out in panels."""

    def __init__(self, layer: nn.Linear, weights: Weights) -> None:
        super().__init__()
        known(weights)
        self.inward, self.outward, self.weights = layer.in_features, layer.out_features, weights
        weight = layer.weight.detach().float()
        self.scale, self.sums, self.bias = cast("list[Tensor | None]", [None] * 3)
        out = self.outward + -self.outward % PANEL
        if weights == "int8":
            scale = weight.abs().amax(1).clamp(min=1e-12) / 127
            whole = F.pad((weight / scale[:, None]).round(), (0, -self.inward % 4, 0, out - self.outward))
            self.scale = F.pad(scale, (0, out - self.outward))
            self.sums = (128 * whole.sum(1)).to(torch.int32)
            fours = whole.to(torch.int8).view(out // PANEL, PANEL, -1, 4)
            self.panels = fours.transpose(1, 2).contiguous()
        else:
            kept = F.pad(weight, (0, 0, 0, out - self.outward)).view(out // PANEL, PANEL, -1).transpose(1, 2)
            self.panels = kept.to(torch.float32 if weights == "fp32" else torch.bfloat16).contiguous()
        if layer.bias is not None:
            self.bias = F.pad(layer.bias.detach().float(), (0, out - self.outward)).contiguous()
        self.told = _Linear(
            *(_at(t) for t in (self.panels, self.scale, self.sums, self.bias)),
            self.inward,
            self.outward,
            KINDS[weights],
        )
        self._run: Any = cast(Any, status().library).oration_linear
        self._self = ctypes.addressof(self.told)

    def forward(self, x: Tensor) -> Tensor:
        """float[..., in] -> float[..., out]."""
        if x.shape[-1] != self.inward:
            raise BadInput(f"a linear layer of {self.inward} inputs got {x.shape[-1]}; give vectors of its width")
        if not readable(x):
            weight, bias = self.dense
            return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        rows = x.contiguous() if x.dtype == torch.float32 else x.float().contiguous()
        y = torch.empty(*x.shape[:-1], self.outward)
        if self._run(self._self, rows.data_ptr(), y.data_ptr(), rows.numel() // self.inward):
            raise MemoryError("there is no memory for a linear layer's result")
        return y if x.dtype == torch.float32 else y.to(x.dtype)

    @functools.cached_property
    def dense(self) -> tuple[Tensor, Tensor | None]:
        """The weight float[out, in] and the bias as torch has them, for inputs that gradients go back to."""
        lines = self.panels.transpose(1, 2).flatten(0, 1).flatten(1).float()
        if self.scale is not None:
            lines = lines * self.scale[:, None]
        return lines[: self.outward, : self.inward], None if self.bias is None else self.bias[: self.outward]


class Parts(NamedTuple):
    """What a block is made of; its linear layers are native."""

    attention_norm: nn.Module
    qkv: Any
    out: Any
    mlp_norm: nn.Module
    up: Any
    """Of a gated MLP, the gate and then what it lets through."""
    down: Any


class Blocks:
    """Blocks of a Transformer and a norm behind them, as one call."""

    def __init__(
        self,
        parts: Sequence[Parts],
        norm: nn.Module,
        *,
        heads: int,
        kv_heads: int,
        width: int,
        mlp: str = "swiglu",
        rotary: Rotary | None = None,
        interleaved: bool = False,
        window: int | None = None,
    ) -> None:
        self._run: Any = cast(Any, status().library).oration_stack
        self._caches: weakref.WeakKeyDictionary[Cache, _Cache] = weakref.WeakKeyDictionary()
        self.layers, self.dim, self.kv_heads, self.width = len(parts), parts[0].down.outward, kv_heads, width
        frequency = None if rotary is None else rotary.frequency.double().contiguous()
        blocks = (_Block * len(parts))(*(_block(each) for each in parts))
        # What C reads lives as long as this, whatever becomes of the modules it came from.
        self._kept = [frequency, blocks, parts, *(w.detach() for m in (norm, *_norms(parts)) for w in m.parameters())]
        sizes = (self.layers, self.dim, heads, kv_heads, width, parts[0].down.inward, MLPS.index(mlp))
        pairs = 0 if frequency is None else len(frequency)
        self.told = _Stack(blocks, _at(frequency), _norm(norm), *sizes, window or 0, pairs, int(interleaved))
        self._self = ctypes.addressof(self.told)

    def cache(self, n: int, capacity: int) -> Cache:
        """An empty cache, in one piece of memory."""
        cache = object.__new__(Cache)
        room = torch.zeros(2 * self.layers, n, self.kv_heads, capacity, self.width).unbind()
        cache.keys, cache.values = [*room[: self.layers]], [*room[self.layers :]]
        cache.held = torch.full((n, capacity), -1, dtype=torch.long)
        cache.length = torch.zeros(n, dtype=torch.long)
        return cache

    def __call__(self, x: Tensor, cache: Cache, lines: Tensor | None = None) -> Tensor:
        """float[n, S, D], steps that follow the cache -> float[n, S, D]. The cache is told of them.

        Args:
            lines: long[n], different sequences of the cache that go on while its others rest; None: all of them do.
        """
        count = len(cache.length) if lines is None else len(lines)
        if x.shape[0] != count or x.shape[2] != self.dim:
            raise BadInput(
                f"steps of shape {[*x.shape]} do not follow a cache of {count} sequences in a Transformer "
                f"of dim={self.dim}; give one line for each sequence"
            )
        told = self._caches.get(cache)
        if told is None:
            told = self._caches[cache] = _cache(cache)
        told.held, told.length, told.line = cache.held.data_ptr(), cache.length.data_ptr(), _at(lines)
        x = x.contiguous()
        y = torch.empty_like(x)
        at = (self._self, ctypes.addressof(told), x.data_ptr(), y.data_ptr())
        if self._run(*at, x.shape[0], x.shape[1], torch.get_num_threads()):
            raise MemoryError("there is no memory for a step of the Transformer")
        return y


class NativeStack(FlatStack):
    """A `TransformerStack` whose linear layers are `NativeLinear`: all its steps in one call.

    What C does not know (conditions, vectors for layers, packed grids) runs through torch, with the same weights.
    """

    def __init__(self, stack: TransformerStack) -> None:
        super().__init__(stack)
        first: Any = stack.blocks[0]
        self.native = Blocks(
            [_parts(block) for block in stack.blocks],
            stack.norm,
            heads=stack.heads,
            kv_heads=stack.kv_heads,
            width=stack.width,
            mlp=first.kind,
            rotary=stack.rotary,
            interleaved=self.interleaved,
            window=stack.window,
        )

    @staticmethod
    def fits(stack: nn.Module) -> bool:
        """Whether a stack can run in C, once its linear layers are native."""
        return (
            FlatStack.fits(stack)
            and isinstance(stack, TransformerStack)
            and stack.causal
            and stack.norm.__class__ in (nn.RMSNorm, nn.LayerNorm, nn.Identity)
            and len({block.kind for block in cast(Any, stack.blocks)}) == 1
        )

    def forward(self, x: Tensor, *, cache: Cache | None = None, extra: Tensor | None = None, **rest: Any) -> Tensor:
        """As `TransformerStack`."""
        odd = extra is not None or rest.get("condition") is not None or x.dtype != torch.float32
        if odd or not x.numel() or not readable(x):
            return self.stack(x, cache=cache, extra=extra, **rest)
        if cache is not None:
            return self.after(x, cache)
        position = rest.get("position")
        plain = position is None or bool((position == torch.arange(x.shape[1])).all())
        if rest.get("segment") is not None or not plain:
            return self.stack(x, **rest)
        return torch.cat([self._alone(part) for part in x.split(max(1, AT_ONCE // x.shape[1]))])

    def after(self, x: Tensor, cache: Cache, lines: Tensor | None = None) -> Tensor:
        """float[n, S, D], steps that follow the cache -> float[n, S, D]. The cache is told of them.

        Args:
            lines: long[n], different sequences of the cache that go on while its others rest; None: all of them do.
        """
        if self.stack.places is not None:
            length = cache.length if lines is None else cache.length[lines]
            x = x + self.stack.places(length[:, None] + torch.arange(x.shape[1])).to(x.dtype)
        return self.native(x, cache, lines)

    def _alone(self, x: Tensor) -> Tensor:
        """float[n, S, D], whole grids -> float[n, S, D]. Two layers' keys are held, in turns: none looks further."""
        stack = self.stack
        cache = Cache(min(2, len(stack.blocks)), x.shape[0], stack.kv_heads, stack.width, x.shape[1])
        for of in (cache.keys, cache.values):
            of.extend(of[i % 2] for i in range(2, len(stack.blocks)))
        return self.after(x, cache)


def readable(x: Tensor) -> bool:
    """Whether there are numbers to be read, and no gradient is to go back through them."""
    if x.requires_grad and torch.is_grad_enabled():
        return False
    try:
        x.data_ptr()
    except RuntimeError:  # one of torch.func, which stands for others
        return False
    return True


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _cache(cache: Cache) -> _Cache:
    keys, values = ((c_void_p * len(t))(*(each.data_ptr() for each in t)) for t in (cache.keys, cache.values))
    return _Cache(keys, values, None, None, cache.capacity, None)


def _norm(norm: Any) -> _Norm:
    if isinstance(norm, nn.Identity):
        return _Norm(None, None, 0.0, -1)
    bias = getattr(norm, "bias", None)
    eps = torch.finfo(torch.float32).eps if norm.eps is None else norm.eps
    return _Norm(_at(norm.weight), _at(bias), eps, int(isinstance(norm, nn.LayerNorm)))


def _norms(parts: Sequence[Parts]) -> list[nn.Module]:
    return [norm for each in parts for norm in (each.attention_norm, each.mlp_norm)]


def _block(parts: Parts) -> _Block:
    layers = (parts.qkv, parts.out, parts.up, parts.down)
    return _Block(*(_norm(norm) for norm in _norms([parts])), *(layer.told for layer in layers))


def _parts(block: Any) -> Parts:
    up = block.gate_up if block.kind in ("swiglu", "geglu") else block.up
    return Parts(block.attention_norm, block.attention.qkv, block.attention.out, block.mlp_norm, up, block.down)
