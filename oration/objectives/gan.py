"""Training what gives sound, vocoders and codecs: spectral regression, then also against discriminators.

Kong et al. 2020, arXiv:2010.05646; for codecs Zeghidour et al. 2021, arXiv:2107.03312, section III-E. Regression alone
is several times cheaper a step and brings intelligible sound; the adversarial part that follows sharpens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Specs
from oration.objectives.balance import Balance
from oration.objectives.codebooks import CodebookUse
from oration.objectives.distil import Distil, DistilModel
from oration.objectives.judges import Judges, Verdict
from oration.objectives.noisy import Noisy
from oration.objectives.spectral import DAC_DISTANCE, Distance, SpectralDistance
from oration.vocoders.discriminators import (
    DAC_BANDS,
    ENCODEC_SPECTRA,
    HIFI_GAN_PERIODS,
    MultiPeriod,
    MultiResolutionStft,
    MultiScale,
)


class Critic(Protocol):
    """A discriminator as a value: see `oration.vocoders.discriminators`."""

    def build(self) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Gan:
    """The part it trains has `rate`; its `forward` takes the batch and gives float[B, T], or a codec's `Made`."""

    distance: Distance = field(default_factory=Distance)
    critics: tuple[MultiPeriod | MultiScale | MultiResolutionStft, ...] = (MultiPeriod(), MultiResolutionStft())
    """Any discriminators together; none: regression alone."""
    adversarial: float = 0.1
    """Weight of the discriminators' opinion, a mean over all their parts."""
    features: float = 0.2
    """Weight of the L1 distance of their activations, relative to the activations of the recording."""
    adversarial_from: float = 0.6
    """The fraction of the budget before which no discriminator runs."""
    window: float = 0.32
    """Seconds that discriminators see of each crop, at a random place."""
    verdict: Verdict = "hinge"
    """How scores become losses; `squares`: Mao et al. 2017, arXiv:1611.04076, as in HiFi-GAN and DAC."""
    critic_share: float = 1.0
    """How often the discriminators learn. EnCodec: 2/3 at 24 kHz, so that they do not win."""
    own: Mapping[str, float] = field(default_factory=dict)
    """Weight of each of the part's own losses by its name, such as `commitment`; one that is not named has weight 1."""
    balance: bool = False
    """Weights are shares of the pull at the sound (`Balance`), except those of `own` and `distil`."""
    noisy: Noisy | None = None
    """What the part is given instead of the recording, as `noisy`; the recording stays what it should give."""
    distil: Distil | None = None
    """What the first level of a codec learns of a teacher."""
    only: str = ""
    """The module of the part that learns, such as `decoder`; the others stay as they are, codebooks included. AudioDec
    (Wu et al. 2023, arXiv:2305.16608, section 2.3) sharpens its sound so, for codes that stay. Empty: all of it."""

    @classmethod
    def tiny(cls) -> Gan:
        critics = (MultiPeriod.tiny(), MultiResolutionStft.tiny())
        return cls(distance=Distance.tiny(), critics=critics, window=0.1)

    def build(self, part: nn.Module, specs: Specs) -> GanModel:
        """The discriminators, the distances, and what else it needs to know of the part.

        Raises:
            BadInput: distillation of a part that is no codec, or towards a stream that the data has not.
        """
        codec = hasattr(part, "quantizer")
        distil = None
        if self.distil is not None:
            if not codec:
                raise BadInput(
                    f"distil teaches the first level of a codec, but {type(part).__name__} has none; leave it out"
                )
            distil = self.distil.build(int(part.numbers.dim), specs)  # type: ignore[union-attr,arg-type]
        use = CodebookUse(part.specs()) if codec else None  # type: ignore[operator]
        return GanModel(self, int(part.rate), use, distil)  # type: ignore[arg-type]


class GanModel(nn.Module):
    """Two groups: `model`, the generator, and `critic`, the discriminators, which only the second phase trains."""

    def __init__(
        self, config: Gan, rate: int, use: CodebookUse | None = None, distil: DistilModel | None = None
    ) -> None:
        super().__init__()
        self.config, self.rate, self.use, self.distil = config, rate, use, distil
        self.spectral: SpectralDistance = config.distance.build(rate)
        self.judges = Judges(tuple(critic.build() for critic in config.critics), config.verdict)
        self.weights = self.spectral.weights
        if config.critics:
            self.weights |= {"adversarial": config.adversarial, "features": config.features}
        self.balance = Balance(self.weights) if config.balance else None

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        taught = [] if self.distil is None else list(self.distil.parameters())
        learns = part.get_submodule(self.config.only)
        return {"model": [*learns.parameters(), *taught], "critic": list(self.judges.parameters())}

    def alarm(self, values: Mapping[str, float]) -> str | None:
        """What the values of one update give cause to say, if anything."""
        return None if self.use is None else self.use.alarm(values)

    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """Yields (critic, loss) once `progress` has reached `adversarial_from`, then always (model, loss).

        Args:
            batch: `wave` float[B, T] and the streams that the part reads.
        """
        if self.config.noisy is not None and self.training:
            batch = {**batch, "noisy": self.config.noisy(batch["wave"])}
        if self.config.only:
            part.eval().get_submodule(self.config.only).train(self.training)
        made = part(batch)
        fake = made if isinstance(made, Tensor) else made.wave
        length = min(batch["wave"].shape[1], fake.shape[1])
        real, fake = batch["wave"][:, :length].float(), fake[:, :length].float()
        # Every loss of the sound ends here; what they pull together then goes back through the part, once.
        leaf = fake.detach().requires_grad_(torch.is_grad_enabled())
        terms = self.spectral(leaf, real)
        pulls = self._pulls(terms, leaf)
        if self.config.critics and progress >= self.config.adversarial_from:
            opinion = self.judges(*self._windows(real, leaf))
            judged = {"adversarial": opinion.adversarial, "features": opinion.features}
            pulls |= self._pulls(judged, leaf, keep=True)
            terms |= judged
            if self._critics_learn():
                yield "critic", Loss(opinion.critic, {"critic": opinion.critic.detach()})
            del opinion, judged
        terms = {name: term.detach() for name, term in terms.items()}
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        if pulls:
            pull = torch.stack(list(pulls.values())).sum(0) if self.balance is None else self.balance(pulls)
            total = _pulled(total, fake, pull)
        extra, parts = ({}, {}) if isinstance(made, Tensor) else self._of_codec(made, batch)
        yield "model", Loss(total + sum(extra.values()), {**terms, **parts})

    def _pulls(self, terms: Mapping[str, Tensor], leaf: Tensor, keep: bool = False) -> dict[str, Tensor]:
        """Gradients with respect to the sound: of each term for a balance, else of their weighted sum."""
        if not leaf.requires_grad or not terms:
            return {}
        with torch.autocast(leaf.device.type, enabled=False):
            if self.balance is None:
                total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
                return {next(iter(terms)): torch.autograd.grad(total, leaf, retain_graph=keep)[0]}
            *_, last = terms
            return {
                name: torch.autograd.grad(term, leaf, retain_graph=keep or name != last)[0]
                for name, term in terms.items()
            }

    def _of_codec(self, made: Any, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A codec's own losses, weighted; and values for the log."""
        unknown = set(self.config.own) - set(made.losses)
        if unknown and made.losses and self.training:  # a quantizer has none at inference
            raise BadInput(
                f"own weighs the loss {sorted(unknown)[0]!r}, but the part has {sorted(made.losses)}; name one of those"
            )
        parts = {name: loss.detach() for name, loss in made.losses.items()}
        extra = {name: self.config.own.get(name, 1.0) * loss for name, loss in made.losses.items()}
        if self.distil is not None and made.first is not None:
            taught = self.distil(made.first, batch)
            parts["distil"], extra["distil"] = taught.detach(), self.distil.config.weight * taught
        if self.use is not None:
            parts |= self.use(made.codes)
        return extra, parts

    def _critics_learn(self) -> bool:
        share = self.config.critic_share
        return share >= 1 or not self.training or float(torch.rand(())) < share

    def _windows(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The same random stretch of both, float[B, window]."""
        batch, length = real.shape
        size = min(length, round(self.config.window * self.rate))
        start = torch.randint(0, length - size + 1, (batch, 1), device=real.device)
        at = start + torch.arange(size, device=real.device)
        return real.gather(1, at), fake.gather(1, at)


def _pulled(value: Tensor, fake: Tensor, pull: Tensor) -> Tensor:
    """A scalar of this value whose gradient with respect to `fake` is `pull`."""
    along = (fake * pull).sum()
    return value + (along - along.detach())


ENCODEC_GAN = Gan(
    distance=Distance(ffts=(2048, 1024, 512, 256, 128), bands=(64,) * 5, wave=0.1, mel=1.0, stft=0.0, convergence=0.0),
    critics=(ENCODEC_SPECTRA,),
    adversarial=3.0,
    features=3.0,
    adversarial_from=0.0,
    window=1.0,
    critic_share=2 / 3,
    balance=True,
)
"""Défossez et al. 2022, arXiv:2210.13438, section 3.4, at 24 kHz; of its spectral distances the one of log-mels.

Its windows of 64 and 32 samples have no room for 64 bands, and are left out.
"""
DAC_GAN = Gan(
    distance=DAC_DISTANCE,
    critics=(HIFI_GAN_PERIODS, DAC_BANDS),
    adversarial=0.2,
    features=2.0,
    adversarial_from=0.0,
    window=0.38,
    verdict="squares",
)
"""Kumar et al. 2023, arXiv:2306.06546, section 3.4, whose mel 15, adversarial 1 and features 2 weigh sums over
resolutions, parts and layers, and log10; here are means, nats, and activations relative to those of the recording."""
