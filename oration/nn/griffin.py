"""Griffin: two gated linear recurrences, then one layer of attention to the near past. Knows no speech.

De et al. 2024, arXiv:2402.19427; the sizes and details of RecurrentGemma (Botev et al. 2024, arXiv:2404.07839).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.look import Cache, Look, following, visible
from oration.nn.positions import Rotary
from oration.nn.statespace import Memory, ShortConv
from oration.nn.transformer import Attention, Block, Layer, initialise


@dataclass(frozen=True, eq=False)
class Beside(Look):
    """What a recurrence needs to know beside what attention does."""

    position: Tensor | None = None
    segment: Tensor | None = None
    memories: tuple[Memory, ...] = ()
    """Of the recurrent layers, to be read and told; none in training."""
    true: Tensor | None = None
    """long[n]: how many steps are no padding; None: all."""


def prefix(gain: Tensor, added: Tensor, first: Tensor) -> Tensor:
    """h[s] = gain[s] h[s - 1] + added[s], float[B, S, C] from h[-1] = first, float[B, C]; in log2 S passes."""
    back = 1
    while back < gain.shape[1]:
        added = added + gain * F.pad(added, (0, 0, back, 0))[:, : gain.shape[1]]
        gain = gain * F.pad(gain, (0, 0, back, 0), value=1.0)[:, : gain.shape[1]]
        back *= 2
    return added + gain * first[:, None]


class Recurrence(nn.Module):
    """A branch with a short convolution and an RG-LRU, gated by another branch (section 2.3 and 2.4)."""

    def __init__(self, dim: int, width: int, heads: int, taps: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.gate, self.inward, self.out = nn.Linear(dim, width), nn.Linear(dim, width), nn.Linear(width, dim)
        self.conv = ShortConv(width, taps)
        each = width // heads
        self.gates = nn.Parameter(torch.randn(2, heads, each, each) * each**-0.5)
        """Of the input and of the recurrence, block-diagonal."""
        self.shifts = nn.Parameter(torch.zeros(2, width))
        # Such that the decay a^8 lies between 0.9 and 0.999 (section 2.4).
        decay = torch.empty(width).uniform_(0.9**2, 0.999**2)
        self.decay = nn.Parameter(torch.log(torch.expm1(-0.5 * decay.log())))

    def memory(self, n: int) -> Memory:
        """An empty one, for `n` sequences."""
        taps, width = self.conv.weight.shape[1], len(self.decay)
        return Memory(self.decay.new_zeros(n, taps - 1, width), self.decay.new_zeros(n, width, dtype=torch.float32))

    def forward(self, x: Tensor, look: Look, number: int = 0) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; `number`: of the recurrent layer, among the memories."""
        assert isinstance(look, Beside)
        memory = look.memories[number] if look.memories else None
        y = self.conv(self.inward(x), look.segment, memory, look.true)
        with torch.autocast(x.device.type, enabled=False):  # a long product, in full precision
            y = self._recur(y.float(), look, memory)
        return self.out(y.to(x.dtype) * F.gelu(self.gate(x), approximate="tanh"))

    def _recur(self, x: Tensor, look: Beside, memory: Memory | None) -> Tensor:
        assert look.position is not None
        parts = x.unflatten(-1, (self.heads, -1))
        gates = torch.einsum("bshi,ghij->gbshj", parts, self.gates).flatten(3) + self.shifts[:, None, None]
        given, kept = torch.sigmoid(gates)
        log = -8.0 * kept * F.softplus(self.decay)
        begins = (look.position == 0)[..., None]
        # Its slope is unbounded where nothing is forgotten.
        scale = torch.where(begins, 1.0, (-torch.expm1(2 * log)).clamp_min(2.5e-7).sqrt())
        gain, added = torch.where(begins, 0.0, log.exp()), given * x * scale
        if look.true is not None:
            past = (torch.arange(x.shape[1], device=x.device) >= look.true[:, None])[..., None]
            gain, added = gain.masked_fill(past, 1.0), added.masked_fill(past, 0.0)
        states = prefix(gain, added, memory.state if memory is not None else torch.zeros_like(x[:, 0]))
        if memory is not None:
            memory.state = states[:, -1]
        return states


class GriffinStack(nn.Module):
    """`layers` layers after `pattern`, and a final norm."""

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        heads: int,
        kv_heads: int,
        ffn: int,
        width: int,
        window: int,
        pattern: tuple[str, ...],
        turned: float = 0.5,
        rope_base: float = 10_000.0,
    ) -> None:
        super().__init__()
        self.window, self.dim, self.kv_heads, self.head = window, dim, kv_heads, dim // heads
        self.rotary = Rotary(int(self.head * turned), rope_base)
        layer = Layer(mlp="geglu", mlp_bias=True, out_bias=True)
        self.kinds = [pattern[i % len(pattern)] for i in range(layers)]
        self.numbers = [self.kinds[:i].count(kind) for i, kind in enumerate(self.kinds)]
        """Of each layer among those of its kind."""
        blocks = []
        for kind in self.kinds:
            mixing: nn.Module = Attention(dim, heads, kv_heads, out_bias=True)
            if kind == "recurrent":
                mixing = Recurrence(dim, width, heads)
            blocks.append(Block(dim, ffn, mixing, layer))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(dim, eps=layer.norm_eps)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialise(module, layers)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)

    def empty(self, n: int, capacity: int) -> tuple[Cache, tuple[Memory, ...]]:
        """The past of `n` sequences that have not begun."""
        like, attentions = self.norm.weight, self.kinds.count("attention")
        cache = Cache(attentions, n, self.kv_heads, self.head, capacity, device=like.device, dtype=like.dtype)
        recurrences = [block.attention for block in self.blocks if isinstance(block.attention, Recurrence)]
        return cache, tuple(each.memory(n) for each in recurrences)

    def forward(
        self,
        x: Tensor,
        *,
        position: Tensor | None = None,
        segment: Tensor | None = None,
        past: tuple[Cache, tuple[Memory, ...]] | None = None,
        true: Tensor | None = None,
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; arguments as of `TransformerStack`, and `true` as of `Beside`."""
        if past is not None:
            position, look = following(past[0], x.shape[1], self.window)
        else:
            if position is None:
                position = torch.arange(x.shape[1], device=x.device)[None].expand(x.shape[0], -1)
            look = Look(mask=visible(x.shape[1], segment, self.window, True, x.device))
        look = replace(look, turn=self.rotary(position))
        memories = () if past is None else past[1]
        beside = Beside(**vars(look), position=position, segment=segment, memories=memories, true=true)
        for block, number in zip(self.blocks, self.numbers, strict=True):
            x = block(x, beside, number)
        return self.norm(x)
