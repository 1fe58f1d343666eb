"""Training a vocoder: spectral regression first, then against discriminators. Kong et al. 2020, arXiv:2010.05646.

Regression alone is several times cheaper a step and brings intelligible sound; the adversarial part that follows
sharpens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.mel import mel_filters
from oration.core import Loss, Specs
from oration.vocoders.discriminators import Judgement, MultiPeriod, MultiResolutionStft


@dataclass(frozen=True, kw_only=True)
class Gan:
    """The part it trains takes the batch's streams in `forward` and gives float[B, T]; it has `rate`."""

    ffts: tuple[int, ...] = (2048, 1024, 512, 256)
    """Window of each spectral resolution, samples; the hop is a quarter. Bands of the mel: fft / 16, 20 to 80."""
    mel: float = 1.0
    """Weight of the L1 distance of log-mel spectra (nats), averaged over the resolutions."""
    stft: float = 0.5
    """Weight of the L1 distance of log-magnitude spectra."""
    convergence: float = 0.5
    """Weight of the spectral convergence: Yamamoto et al. 2020, arXiv:1910.11480, section 2.2."""
    adversarial: float = 0.1
    """Weight of the discriminators' opinion."""
    features: float = 0.2
    """Weight of the L1 distance of their activations, relative to the activations of the recording."""
    adversarial_from: float = 0.6
    """The fraction of the budget before which no discriminator runs."""
    window: float = 0.32
    """Seconds that discriminators see of each crop, at a random place."""
    periods: MultiPeriod = field(default_factory=MultiPeriod)
    spectra: MultiResolutionStft = field(default_factory=MultiResolutionStft)

    @classmethod
    def tiny(cls) -> Gan:
        return cls(ffts=(512, 256), periods=MultiPeriod.tiny(), spectra=MultiResolutionStft.tiny(), window=0.1)

    def build(self, part: nn.Module, specs: Specs) -> GanModel:
        """The discriminators and the spectral distances. `specs` is not needed: the part knows its streams."""
        return GanModel(self, int(part.rate))  # type: ignore[arg-type]


class GanModel(nn.Module):
    """Two groups: `model`, the generator, and `critic`, the discriminators, which only the second phase trains."""

    def __init__(self, config: Gan, rate: int) -> None:
        super().__init__()
        self.config, self.rate = config, rate
        self.spectral = SpectralDistance(config.ffts, rate)
        self.critics = nn.ModuleList((config.periods.build(), config.spectra.build()))

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        return {"model": list(part.parameters()), "critic": list(self.critics.parameters())}

    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """Yields (critic, loss) once `progress` has reached `adversarial_from`, then always (model, loss).

        Args:
            batch: `wave` float[B, T] and the streams that the part reads.
        """
        real, fake = batch["wave"], part(batch)
        length = min(real.shape[1], fake.shape[1])
        real, fake = real[:, :length].float(), fake[:, :length].float()
        mel, stft, convergence = self.spectral(fake, real)
        total = self.config.mel * mel + self.config.stft * stft + self.config.convergence * convergence
        parts: dict[str, Tensor | float] = {"mel": mel.detach(), "stft": stft.detach(), "sc": convergence.detach()}
        if progress >= self.config.adversarial_from:
            real_part, fake_part = self._windows(real, fake)
            yield "critic", self._critic_loss(real_part, fake_part.detach())
            adversarial, features = self._opinion(real_part, fake_part)
            total = total + self.config.adversarial * adversarial + self.config.features * features
            parts |= {"adversarial": adversarial.detach(), "features": features.detach()}
        yield "model", Loss(total, parts)

    def _windows(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The same random stretch of both, float[B, window]."""
        batch, length = real.shape
        size = min(length, round(self.config.window * self.rate))
        start = torch.randint(0, length - size + 1, (batch, 1)).to(real.device)
        at = start + torch.arange(size, device=real.device)
        return real.gather(1, at), fake.gather(1, at)

    def _judge(self, wave: Tensor) -> list[Judgement]:
        return [judgement for critic in self.critics for judgement in critic(wave)]

    def _critic_loss(self, real: Tensor, fake: Tensor) -> Loss:
        """Hinge: real above 1, fake below -1. One pass over both, since small convolutions like large batches."""
        total = real.new_zeros(())
        judged = self._judge(torch.cat((real, fake)))
        for score, _ in judged:
            good, bad = score.float().chunk(2)
            total = total + F.relu(1 - good).mean() + F.relu(1 + bad).mean()
        return Loss(total / len(judged), {"critic": total.detach() / len(judged)})

    def _opinion(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """What the critics say of the fake, and how differently they see it from the real; no gradient for them."""
        self.critics.requires_grad_(False)
        try:
            with torch.no_grad():
                wanted = self._judge(real)
            judged = self._judge(fake)
        finally:
            self.critics.requires_grad_(True)
        adversarial, features, layers = fake.new_zeros(()), fake.new_zeros(()), 0
        for (score, seen), (_, target) in zip(judged, wanted, strict=True):
            adversarial = adversarial - score.float().mean()
            for a, b in zip(seen, target, strict=True):
                features = features + (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp_min(1e-3)
                layers += 1
        return adversarial / len(judged), features / layers


class SpectralDistance(nn.Module):
    """How far two sounds are from each other in several spectra. Always float32."""

    def __init__(self, ffts: tuple[int, ...], rate: int, floor: float = 3e-5) -> None:
        super().__init__()
        self.ffts, self.floor = ffts, floor
        for fft in ffts:
            self.register_buffer(f"window{fft}", torch.hann_window(fft), persistent=False)
            # magnitudes then mean the same in every resolution, as does the floor
            filters = mel_filters(rate, max(20, min(80, fft // 16)), fft)
            self.register_buffer(f"mel{fft}", filters / filters.sum(0), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float[B, T] twice -> L1 of log-mel and log magnitude (nats), spectral convergence; means over `ffts`."""
        mel = stft = convergence = fake.new_zeros((), dtype=torch.float32)
        with torch.autocast(fake.device.type, enabled=False):
            for fft in self.ffts:
                fake_size, real_size = self._magnitudes(fake.float(), fft), self._magnitudes(real.float(), fft)
                filters = getattr(self, f"mel{fft}")
                mel = mel + F.l1_loss(self._log(fake_size @ filters), self._log(real_size @ filters))
                stft = stft + F.l1_loss(self._log(fake_size), self._log(real_size))
                convergence = convergence + (fake_size - real_size).norm() / real_size.norm().clamp_min(1e-3)
        n = len(self.ffts)
        return mel / n, stft / n, convergence / n

    def _log(self, size: Tensor) -> Tensor:
        return size.clamp_min(self.floor).log()

    def _magnitudes(self, wave: Tensor, fft: int) -> Tensor:
        """float[B, T] -> float[B, F, fft // 2 + 1], scaled so that a full-scale sine has magnitude 1."""
        window = getattr(self, f"window{fft}")
        frames = F.pad(wave, (fft // 2, fft // 2)).unfold(1, fft, fft // 4)
        power = torch.view_as_real(torch.fft.rfft(frames * window)).square().sum(-1)
        return (power + 1e-12).sqrt() * (4 / fft)
