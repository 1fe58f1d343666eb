"""How far two sounds are from each other: in their samples, and in spectra of several resolutions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.mel import mel_filters
from oration.core import BadInput


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Weights of the distances; one of weight 0 is not computed. Always float32."""

    ffts: tuple[int, ...] = (2048, 1024, 512, 256)
    """Window of each spectral resolution, samples; the hop is a quarter."""
    bands: tuple[int, ...] = ()
    """Mel bands of each resolution; empty: fft / 16, 20 to 80. DAC's are `DAC_DISTANCE`."""
    wave: float = 0.0
    """Of the L1 distance of samples."""
    mel: float = 1.0
    """Of the L1 distance of log-mel spectra (nats), averaged over the resolutions."""
    stft: float = 0.5
    """Of the L1 distance of log-magnitude spectra (nats)."""
    convergence: float = 0.5
    """Of the spectral convergence: Yamamoto et al. 2020, arXiv:1910.11480, section 2.2."""
    floor: float = 3e-5
    """Magnitudes below are all alike; that of a full-scale sine is 1."""

    def __post_init__(self) -> None:
        if self.bands and len(self.bands) != len(self.ffts):
            raise BadInput(
                f"the distance has {len(self.ffts)} resolutions ffts={self.ffts} but {len(self.bands)} numbers of "
                f"bands={self.bands}; give one for each, or none"
            )

    @classmethod
    def tiny(cls) -> Distance:
        return cls(ffts=(512, 256))

    def build(self, rate: int) -> SpectralDistance:
        return SpectralDistance(self, rate)


DAC_DISTANCE = Distance(
    ffts=(32, 64, 128, 256, 512, 1024, 2048), bands=(5, 10, 20, 40, 80, 160, 320), floor=1e-5, stft=0.0, convergence=0.0
)
"""Windows and bands of Kumar et al. 2023, arXiv:2306.06546, section 3.4."""


class SpectralDistance(nn.Module):
    """The distances of a `Distance`, for sound at `rate` Hz."""

    def __init__(self, config: Distance, rate: int) -> None:
        super().__init__()
        self.config = config
        bands = config.bands or tuple(max(20, min(80, fft // 16)) for fft in config.ffts)
        for fft, count in zip(config.ffts, bands, strict=True):
            # a full-scale sine then has magnitude 1
            self.register_buffer(f"window{fft}", torch.hann_window(fft) * (4 / fft), persistent=False)
            # magnitudes then mean the same in every resolution, as does the floor
            filters = mel_filters(rate, count, fft)
            self.register_buffer(f"mel{fft}", filters / filters.sum(0).clamp_min(1e-9), persistent=False)

    @property
    def weights(self) -> dict[str, float]:
        """Of the distances that count."""
        named = {
            "wave": self.config.wave,
            "mel": self.config.mel,
            "stft": self.config.stft,
            "sc": self.config.convergence,
        }
        return {name: weight for name, weight in named.items() if weight}

    def forward(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """float[B, T] twice -> each distance that counts, before its weight."""
        wanted, found = self.weights, dict[str, Tensor]()
        with torch.autocast(fake.device.type, enabled=False):
            fake, real = fake.float(), real.float()
            if "wave" in wanted:
                found["wave"] = F.l1_loss(fake, real)
            if set(wanted) - {"wave"}:
                each = [self._at(fft, fake, real, wanted) for fft in self.config.ffts]
                found |= {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}
        return found

    def _at(self, fft: int, fake: Tensor, real: Tensor, wanted: dict[str, float]) -> dict[str, Tensor]:
        found = {}
        fake_size, real_size = self.magnitudes(fake, fft), self.magnitudes(real, fft)
        if "mel" in wanted:
            filters = getattr(self, f"mel{fft}")
            found["mel"] = F.l1_loss(self._log(fake_size @ filters), self._log(real_size @ filters))
        if "stft" in wanted:
            found["stft"] = F.l1_loss(self._log(fake_size), self._log(real_size))
        if "sc" in wanted:
            found["sc"] = (fake_size - real_size).norm() / real_size.norm().clamp_min(1e-3)
        return found

    def _log(self, size: Tensor) -> Tensor:
        return size.clamp_min(self.config.floor).log()

    def magnitudes(self, wave: Tensor, fft: int) -> Tensor:
        """float[B, T] -> float[B, F, fft // 2 + 1], scaled so that a full-scale sine has magnitude 1."""
        window = getattr(self, f"window{fft}")
        frames = F.pad(wave, (fft // 2, fft // 2)).unfold(1, fft, fft // 4)
        power = torch.view_as_real(torch.fft.rfft(frames * window)).square().sum(-1)
        return (power + 1e-14).sqrt()
