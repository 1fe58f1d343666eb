"""Codec nets over spectra: few frames a second from the first layer on, so that a small net is wide and fast.

    sound -> spectrum every `hop` samples -> ConvNeXt, strided down to frames -> (codes) -> back up -> inverse STFT

The spectrum with its magnitude compressed and an inverse STFT at the end are as in frequency-domain FunCodec (Du et al.
2023, arXiv:2309.07405, section 2.2) and Vocos (Siuzdak 2023, arXiv:2306.00814); the one-dimensional nets between are
those of Vocos. All of it is causal unless it is told to look ahead.

Few bits cannot say phases. With `magnitudes` the encoder is given log magnitudes alone, with a `Voice` the decoder
makes harmonics and noise of a pitch that it hears in its frames (`oration.nn.voiced`), and a `Bypass` takes a log-mel
spectrum past the nets, so that they need not first learn what a linear layer can do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oration.audio.mel import mel_filters
from oration.core import BadInput
from oration.nn.conv import Conv, Upsample
from oration.nn.convnext import ConvNeXt
from oration.nn.pieces import Beside, Chain, Pieces, Residual
from oration.nn.spectral import InverseSpectrum, LogSpectra, Periodicity, Spectrum
from oration.nn.voiced import Voiced


@dataclass(frozen=True, kw_only=True)
class Bypass:
    """A way past the nets: a log-mel spectrum, turned into cosine coefficients and back again by linear layers.

    Vectors so mean something from the first update on, and how far they are from each other is how far their spectra
    are; the nets begin as corrections to that, and the linear layers learn with them.
    """

    bands: int = 80
    """Mel bands."""
    coefficients: int = 48
    """Cosines along the frequency, lowest first; those along the time are all kept. The rest of the vector begins
    empty."""

    def tiny(self) -> Bypass:
        """With few of both."""
        return replace(self, bands=20, coefficients=2)

    def spread(self, fft: int, rate: int) -> Tensor:
        """float[fft // 2 + 1, bands], from bands to bins: those between the middles of two bands take of both."""
        filters = mel_filters(rate, self.bands, fft)
        filters = filters / filters.amax(0).clamp_min(1e-9)
        # beyond the middles of the first and the last band there is only that one
        filters[:, 0] += filters.sum(1) < 1e-3
        top = int(filters[:, -1].argmax())
        filters[top:, 0] = 0
        filters[top:, -1] = 1
        return filters / filters.sum(1, keepdim=True).clamp_min(1e-9)

    def basis(self, dim: int, steps: int) -> Tensor:
        """float[dim, bands, steps]: orthonormal cosines over `steps` frames of the spectrum, then nothing.

        Raises:
            BadInput: the vectors are too narrow for them.
        """
        if dim < self.coefficients * steps:
            raise BadInput(
                f"{self.coefficients} coefficients of {steps} frames do not fit vectors of {dim}; take fewer"
            )
        full = torch.einsum("fb,ts->ftbs", _cosines(self.bands)[: self.coefficients], _cosines(steps)).flatten(0, 1)
        return torch.cat((full, torch.zeros(dim - len(full), self.bands, steps, device="cpu")))


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How a decoder is taught the pitch of its frames, which it then names itself."""

    stream: str = "f0"
    """Of the feed, from the `F0` tokenizer; only training reads it."""
    bins: int = 128
    floor: float = 60.0
    """Hz, as the tokenizer's; so are `bins` and `ceiling`."""
    ceiling: float = 500.0
    """Hz"""
    share: float = 0.5
    """Of the rows that are excited by the teacher's pitch in training, the others by what the decoder hears."""
    bands: int = 80
    """Mel bands in which envelopes are compared in training."""

    def tiny(self) -> Voice:
        """With few bins, as many as those of a tiny `F0`."""
        return replace(self, bins=min(self.bins, 8), bands=min(self.bands, 20))

    def hertz(self) -> list[float]:
        """The middle of each bin."""
        octaves = math.log2(self.ceiling / self.floor)
        return [self.floor * 2 ** (octaves * (i + 0.5) / self.bins) for i in range(self.bins)]


@dataclass(frozen=True, kw_only=True)
class SpectralEncoder:
    """Sound float[B, T, 1] -> frames float[B, ceil(T / stride), dim]."""

    dim: int = 128
    width: int = 256
    inner: int = 768
    layers: tuple[int, ...] = (4, 4, 4)
    """ConvNeXt blocks at the rate of the spectrum, then after each of the strides."""
    kernel: int = 7
    fft: int = 640
    hop: int = 160
    strides: tuple[int, ...] = (2, 2)
    power: float = 0.3
    """Of the magnitude: 1 is the spectrum itself, 0 its phase alone."""
    magnitudes: tuple[int, ...] = ()
    """Windows, in samples, of log magnitudes that it is given instead of a spectrum with its phase. A long one tells
    pitch, a short one when something happens."""
    bypass: Bypass | None = None
    """What goes past the net: it then learns only what is better than that."""
    voice: Voice | None = None
    """The decoder's: how far each of its pitches repeats in the sound is given beside the magnitudes."""
    rate: int = 16_000
    """Hz of the sound, which counts for a bypass and a voice."""

    def __post_init__(self) -> None:
        _check(self.layers, self.strides)

    @property
    def stride(self) -> int:
        """Samples a frame."""
        return self.hop * math.prod(self.strides)

    def tiny(self) -> SpectralEncoder:
        """As many layers at the same rates, narrow."""
        bypass, voice = self.bypass and self.bypass.tiny(), self.voice and self.voice.tiny()
        return replace(self, dim=8, width=16, inner=24, kernel=3, bypass=bypass, voice=voice)

    def build(self) -> Pieces:
        spectrum, given = self._first()
        layers: list[nn.Module] = [spectrum, nn.Linear(given, self.width), nn.LayerNorm(self.width)]
        layers += _blocks(self.width, self.inner, self.layers[0], self.kernel)
        for stride, blocks in zip(self.strides, self.layers[1:], strict=True):
            layers += [Conv(self.width, self.width, 2 * stride, stride=stride)]
            layers += _blocks(self.width, self.inner, blocks, self.kernel)
        last = nn.Linear(self.width, self.dim)
        net = Chain(*layers, nn.LayerNorm(self.width), last)
        if self.bypass is None:
            return net
        with torch.no_grad():
            last.weight.mul_(0.1)
        mel = LogSpectra((self.fft,), self.hop, filters=_bands(self.rate, self.bypass.bands, self.fft))
        return Residual(net, Chain(mel, Inward(self.bypass, self.dim, math.prod(self.strides))))

    def _first(self) -> tuple[Pieces, int]:
        """What the net is given of the sound, and its width."""
        if not self.magnitudes:
            spectrum = Spectrum(self.fft, self.hop, self.power)
            return spectrum, spectrum.dim
        sizes = LogSpectra(self.magnitudes, self.hop)
        if self.voice is None:
            return sizes, sizes.dim
        periods = Periodicity(max(self.magnitudes), self.hop, self.voice.hertz(), self.rate)
        return Beside(sizes, periods), sizes.dim + periods.dim


@dataclass(frozen=True, kw_only=True)
class SpectralDecoder:
    """Frames float[B, F, dim] -> sound float[B, F * stride, 1]."""

    dim: int = 128
    width: int = 256
    inner: int = 768
    layers: tuple[int, ...] = (4, 4, 4)
    """ConvNeXt blocks at the rate of the frames, then after each of the strides."""
    kernel: int = 7
    fft: int = 640
    hop: int = 160
    strides: tuple[int, ...] = (2, 2)
    back: int = 0
    """Samples that a window of the inverse STFT begins before its hop; sound comes so much later in a live session."""
    ahead: int = 0
    """Steps at the highest rate that the last blocks look ahead, in all."""
    voice: Voice | None = None
    """None: a head that must invent phases."""
    rate: int = 16_000
    """Hz of the sound, which counts for a bypass and a voice."""
    bypass: Bypass | None = None
    """As the encoder's; a voice needs it for nothing, but learns sooner with it."""

    def __post_init__(self) -> None:
        _check(self.layers, self.strides)

    @property
    def stride(self) -> int:
        """Samples a frame."""
        return self.hop * math.prod(self.strides)

    @property
    def losses(self) -> tuple[str, ...]:
        """Of its own, in training."""
        return ("pitch", "envelope") if self.voice else ()

    def tiny(self) -> SpectralDecoder:
        """As many layers at the same rates, narrow."""
        bypass, voice = self.bypass and self.bypass.tiny(), self.voice and self.voice.tiny()
        return replace(self, dim=8, width=16, inner=24, kernel=3, bypass=bypass, voice=voice)

    def build(self) -> Chain:
        layers: list[nn.Module] = [nn.Linear(self.dim, self.width), nn.LayerNorm(self.width)]
        for blocks, stride in zip(self.layers[:-1], self.strides, strict=True):
            layers += _blocks(self.width, self.inner, blocks, self.kernel)
            layers += [Upsample(self.width, self.width, 2 * stride, stride=stride)]
        layers += _blocks(self.width, self.inner, self.layers[-1], self.kernel, self.ahead)
        layers += [nn.LayerNorm(self.width)]
        if self.bypass is None:
            return Chain(*layers, self._head(self.width))
        head = self._head(self.width + self.bypass.bands)
        with torch.no_grad():
            # A log spectrum is given as `LogSpectra` has it: over 4, and of windows of unit energy.
            level = math.log(0.375 * self.fft) / 2 - 4
            for part in (0, 2) if self.voice else (0,):
                rows = slice(part * head.bins, (part + 1) * head.bins)
                head.out.weight[rows, self.width :] = 4 * self.bypass.spread(self.fft, self.rate)
                head.out.bias[rows] = level - part / 2
            if self.voice:
                head.out.weight[head.bins : 2 * head.bins, self.width :] = 0
        return Chain(Beside(Chain(*layers), Outward(self.bypass, self.dim, math.prod(self.strides))), head)

    def _head(self, width: int) -> InverseSpectrum | VoicedHead:
        if self.voice is None:
            return InverseSpectrum(width, self.fft, self.hop, self.back)
        return VoicedHead(self.voice, width, self.fft, self.hop, self.back, self.rate)


class Inward(Conv):
    """The encoder's end of a `Bypass`: `steps` frames of a log-mel spectrum -> the first numbers of a vector."""

    def __init__(self, bypass: Bypass, dim: int, steps: int) -> None:
        super().__init__(bypass.bands, dim, steps, stride=steps, bias=False)
        with torch.no_grad():
            self.weight.copy_(bypass.basis(dim, steps))


class Outward(Upsample):
    """The decoder's end: vectors -> `steps` frames each."""

    def __init__(self, bypass: Bypass, dim: int, steps: int) -> None:
        super().__init__(dim, bypass.bands, steps, stride=steps, bias=False)
        with torch.no_grad():
            self.weight.copy_(bypass.basis(dim, steps))


class VoicedHead(Voiced):
    """`Voiced` with the pitch stream and the mel bands of a `Voice`."""

    def __init__(self, config: Voice, dim: int, fft: int, hop: int, back: int, rate: int) -> None:
        bands, span = _bands(rate, config.bands, fft), (config.floor, config.ceiling)
        super().__init__(dim, fft, hop, back, rate=rate, bands=bands, tones=config.bins, span=span)
        self.config = config

    def taught(self, x: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """float[B, F, dim] -> sound float[B, F * hop, 1], and its own losses.

        Raises:
            BadInput: the feed brings no pitch, or symbols of another pitch tokenizer.
        """
        name = self.config.stream
        if name not in batch:
            if not self.training:
                return self(x), {}
            raise BadInput(
                f"the decoder is taught pitch by the stream {name!r}, but the batch has {sorted(batch)}; name it in "
                "feed.streams, and let the recipe have an F0 tokenizer"
            )
        if int(batch[name].max()) > self.config.bins:
            raise BadInput(
                f"the stream {name!r} holds the symbol {int(batch[name].max())}, but the decoder's voice has "
                f"{self.config.bins} bins; give the F0 tokenizer as many"
            )
        return self.learn(x, batch[name], batch["wave"], self.config.share if self.training else 0.0)


def _cosines(size: int) -> Tensor:
    """The discrete cosine transform, float[size, size], orthonormal."""
    at = torch.arange(size, dtype=torch.float64, device="cpu")
    table = torch.cos(math.pi / size * at[:, None] * (at + 0.5))
    return (table / table.norm(dim=1, keepdim=True)).float()


def _bands(rate: int, bands: int, fft: int) -> Tensor:
    """float[fft // 2 + 1, bands]: mel filters, through which a flat spectrum is as high as it was."""
    filters = mel_filters(rate, bands, fft)
    return filters / filters.sum(0).clamp_min(1e-9)


def _blocks(width: int, inner: int, blocks: int, kernel: int, ahead: int = 0) -> list[nn.Module]:
    return [ConvNeXt(width, inner, blocks, kernel, ahead=ahead)] if blocks else []


def _check(layers: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if len(layers) != len(strides) + 1:
        raise BadInput(
            f"a spectral net with strides {strides} has {len(strides) + 1} rates, but layers is {layers}; "
            "give the number of blocks at each rate"
        )
