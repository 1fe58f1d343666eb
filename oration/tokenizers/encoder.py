"""The causal encoder under the learned units: log-mel at 100 Hz, two convolutions to 50 Hz, a Transformer.

Frame `t` of its output sees the sound up to 20 ms x (t + 1 + lookahead): the net itself is causal, and its output is
given under the index of an earlier frame.

    mel (10 ms)   | | | | | | | | | |
    conv (20 ms)  0   1   2   3   4        lookahead 3: what is computed at 3 is the feature of frame 0

It knows neither phones nor units; an objective trains it, `Units` cuts its features into symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.live import at_rest
from oration.audio.mel import LogMel
from oration.core import BadInput
from oration.nn.causal import CausalConv, shallow
from oration.nn.transformer import TransformerStack


@dataclass(frozen=True, kw_only=True)
class CausalEncoder:
    """The numbers of the encoder. The defaults make 3.6 M parameters."""

    dim: int = 256
    layers: int = 4
    heads: int = 4
    ffn: int = 704
    window: int = 100
    """Frames a layer looks back (2 s), which bounds the memory of a live stream."""
    lookahead: int = 0
    """Frames of 20 ms by which the output lags behind the sound."""
    layer: int | None = None
    """Whose output `features` gives, 1 to `layers`; None is the last."""
    dropout: float = 0.1
    bands: int = 80
    kernels: tuple[int, int] = (5, 4)
    """Of the two convolutions, in their input frames of 10 ms; the second has stride 2."""
    calibration: int = 60_000
    """Frames of 10 ms after which the mean and variance of each band are frozen."""

    def __post_init__(self) -> None:
        if self.layer is not None and not 1 <= self.layer <= self.layers:
            raise BadInput(f"layer is {self.layer}, expected 1 to {self.layers} or None for the last layer")

    @classmethod
    def tiny(cls) -> CausalEncoder:
        """A few thousand parameters, for tests."""
        return cls(dim=16, layers=2, heads=2, ffn=24, window=12, bands=20, calibration=400)

    def build(self) -> CausalEncoderModel:
        return CausalEncoderModel(self)


class CausalEncoderModel(nn.Module):
    """Weights of a `CausalEncoder`.

    For an objective: `calibrate` on the first batches, then `features` step by step: `mels` (natural log), `normal`,
    `latent` and `context` (gradients flow). For everything else: `features`, `live`.
    """

    rate = 16000
    """Hz of the samples it takes."""
    hop = 320
    """Samples per frame of its output."""

    def __init__(self, numbers: CausalEncoder) -> None:
        super().__init__()
        self.numbers = numbers
        self.mel = LogMel(rate=self.rate, bands=numbers.bands)
        self.first = CausalConv(numbers.bands, numbers.dim, numbers.kernels[0])
        self.second = CausalConv(numbers.dim, numbers.dim, numbers.kernels[1], stride=2)
        self.stack = TransformerStack(
            dim=numbers.dim,
            layers=numbers.layers,
            heads=numbers.heads,
            ffn=numbers.ffn,
            window=numbers.window,
            dropout=numbers.dropout,
        )
        self.seen: Tensor
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("mean", torch.full((numbers.bands,), -5.0))
        self.register_buffer("variance", torch.full((numbers.bands,), 4.0))

    @property
    def dim(self) -> int:
        return self.numbers.dim

    @property
    def depth(self) -> int:
        """How many layers `features` runs."""
        return self.numbers.layer or self.numbers.layers

    def frames(self, samples: int) -> int:
        """How many features that many samples give: ceil(samples / hop)."""
        return -(-samples // self.hop)

    def mels(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, 2 (F + lookahead), bands], natural log; the sound is followed by silence."""
        frames = self.frames(samples.shape[1]) + self.numbers.lookahead
        return self.mel(F.pad(samples, (0, frames * self.hop - samples.shape[1])))

    @torch.no_grad()
    def calibrate(self, samples: Tensor, seconds: Tensor) -> None:
        """Learn the bands' mean and variance from float[B, T], of which float[B] `seconds` count, until enough is seen.

        Every part of it is a buffer, so a resumed training goes on with the same numbers.
        """
        if int(self.seen) >= self.numbers.calibration:
            return
        mels = self.mel(samples)
        at = torch.arange(mels.shape[1], device=mels.device)
        frames = mels[at < (seconds * self.rate / self.mel.hop)[:, None]].double()
        n = len(frames)
        if not n:
            return
        before = int(self.seen)
        share = n / (before + n)
        apart = frames.mean(0) - self.mean.double()
        within = frames.var(0, unbiased=False) * share + self.variance.double() * (1 - share)
        across = apart.square() * share * (1 - share)
        self.variance.copy_(within + across)
        self.mean.add_((apart * share).float())
        self.seen.add_(n)

    def normal(self, mels: Tensor) -> Tensor:
        """Log-mel with mean 0 and variance 1 in each band of the calibration data."""
        with torch.autocast(mels.device.type, enabled=False):
            return (mels.float() - self.mean) * (self.variance + 1e-3).rsqrt()

    def latent(self, normal: Tensor) -> Tensor:
        """float[B, 2 S, bands] -> float[B, S, dim] at 50 Hz, by the convolutions alone."""
        return F.gelu(self.second(F.gelu(self.first(normal))))

    def context(self, latent: Tensor, layers: int | None = None) -> Tensor:
        """float[B, S, dim] -> float[B, S - lookahead, dim], after `layers` of the Transformer (all if None)."""
        stack = shallow(self.stack, layers or self.numbers.layers)
        # The residual stream stays in float32 under autocast, where the convolutions give bfloat16.
        return stack(latent.float())[:, self.numbers.lookahead :]

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] at 16 kHz -> float[B, F, dim], F = ceil(T / 320); zeros after a shorter one change nothing."""
        return self.context(self.latent(self.normal(self.mels(samples))), self.depth)

    def live(self) -> LiveEncoder:
        """The streaming form: the same features up to rounding, each `lookahead` frames late, in bounded memory."""
        return LiveEncoder(self)


class LiveEncoder:
    """One recording through a `CausalEncoderModel`, in pieces of any length, two windows at most at once."""

    def __init__(self, model: CausalEncoderModel) -> None:
        self.model = model
        self.stack = shallow(model.stack, model.depth)
        self.mel = model.mel.live()
        self._reset()

    def _reset(self) -> None:
        model = self.model
        self.taken, self.given = 0, 0
        self.late = model.numbers.lookahead
        self.first, self.second = model.first.start(1), model.second.start(1)
        self.cache = self.stack.cache(1, 3 * model.numbers.window)

    def push(self, samples: Tensor) -> Tensor:
        """float[T] -> float[f, dim]"""
        self.taken += len(samples)
        return self._push(samples)

    def _push(self, samples: Tensor) -> Tensor:
        at_once = 2 * self.model.numbers.window * self.model.hop
        with at_rest(self.model):
            pieces = [self._frames(piece) for piece in samples.to(self.model.mean.device).split(at_once)]
        out = torch.cat(pieces) if pieces else self.model.mean.new_zeros(0, self.model.dim)
        self.given += len(out)
        return out

    def _frames(self, samples: Tensor) -> Tensor:
        model = self.model
        mels = self.mel.push(samples)[None]
        x, self.first = model.first.push(model.normal(mels), self.first)
        x, self.second = model.second.push(F.gelu(x), self.second)
        if not x.shape[1]:
            return x[0].float()
        out = self.stack(F.gelu(x).float(), cache=self.cache)[0]
        skip = min(self.late, len(out))
        self.late -= skip
        return out[skip:]

    def flush(self) -> Tensor:
        """The frames that wait for sound yet to come, which is silence now: float[f, dim]."""
        model = self.model
        frames = model.frames(self.taken)
        if not frames:
            out = model.mean.new_zeros(0, model.dim)
        else:
            end = (frames + model.numbers.lookahead) * model.hop
            out = self._push(model.mean.new_zeros(end - self.taken))
        self.mel = model.mel.live()
        self._reset()
        return out
