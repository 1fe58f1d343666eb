"""Hidden frames to sound by a pitch that they are heard to have: harmonics and noise, shaped. In any pieces.

The last layer of a generator that is given no pitch: it names the pitch of each frame itself, taught by a tracker, and
shapes the excitation of `oration.nn.excitation`, whose phase runs on evenly from frame to frame without being learnt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.excitation import NOISE_FRAMES, harmonics, run_on, white
from oration.nn.pieces import State
from oration.nn.spectral import Overlapping, applied

LOUDEST = 4.6
"""Largest log magnitude, of harmonics and of noise: far above that of full-scale speech."""
STEPS = 8
"""Pitch is rounded to so many steps a bin, so that rounding errors of the frames do not add up in its phase."""


class Voiced(Overlapping):
    """Hidden frames -> pitch; how loud harmonics and noise are in each bin, and how the harmonics are turned -> sound.

    Windows lie as those of `InverseSpectrum` for the same `back`.
    """

    def __init__(
        self,
        dim: int,
        fft: int,
        hop: int,
        back: int,
        *,
        rate: int,
        bands: Tensor,
        tones: int = 128,
        span: tuple[float, float] = (60.0, 500.0),
    ) -> None:
        """
        Args:
            rate: Hz of the sound.
            bands: filters in which envelopes are compared, float[fft // 2 + 1, N]; one that is flat has sum 1.
            tones, span: so many bins divide this range of Hz evenly on a log scale, as those of the teacher do.
        """
        super().__init__(fft, hop, back)
        self.rate, self.tones, (self.low, self.high) = rate, tones, span
        self.heard = nn.Linear(dim, tones + 1)
        self.out = nn.Linear(dim, 3 * self.bins)
        nn.init.normal_(self.out.weight, std=0.02)
        with torch.no_grad():  # begin near the loudness of quiet speech
            self.out.bias.zero_()[: self.bins] = -3.0
            self.out.bias[2 * self.bins :] = -4.0
        self.noise: Tensor
        self.targets: Tensor
        self.bands: Tensor
        # as real numbers, which also a net that is cast to another precision keeps both of
        self.register_buffer("noise", torch.view_as_real(white(fft, hop)), persistent=False)
        self.register_buffer("targets", _smooth(tones), persistent=False)
        self.register_buffer("bands", bands, persistent=False)

    def recall(self, batch: int, like: Tensor) -> State:
        return like.new_tensor([[0.0, -1.0, 0.0]], dtype=torch.float64).repeat(batch, 1)

    def spectra(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        spectra, _, memory = self._excited(x, self.hertz(applied(self.heard, x)), memory)
        return spectra, memory

    def hertz(self, logits: Tensor) -> Tensor:
        """float[B, F, tones + 1] -> the likeliest pitch in Hz, double[B, F]; 0 where no voice is likelier."""
        chance = logits.double().softmax(-1)
        top = chance[..., :-1].argmax(-1, keepdim=True)
        near = (top + torch.arange(-2, 3, device=top.device)).clamp(0, self.tones - 1)
        around = chance.gather(-1, near)
        place = (around * near).sum(-1) / around.sum(-1)
        place = (place * STEPS).round() / STEPS
        hertz = self.low * (self.high / self.low) ** ((place + 0.5) / self.tones)
        return hertz * (chance[..., -1] < 0.5)

    def learn(self, x: Tensor, teacher: Tensor, wave: Tensor, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Sound float[B, F * hop, 1], and what is lost: `pitch` (nats a frame) and `envelope` (nats of log-mel).

        The envelope is that of the spectra before they overlap, expected over the noise, against that of the recording:
        it depends on no phase.

        Args:
            teacher: bin of the pitch at some rate, long[B, N]; `tones` where there is no voice, -1 where unknown.
            wave: what it should sound like, float[B, T].
            share: of the rows, how many are excited by the teacher's pitch instead of the layer's own.
        """
        with torch.autocast(x.device.type, enabled=False):
            like, x = x, x.float()
            batch, frames = x.shape[:2]
            centres = torch.arange(frames, device=x.device) + (self.fft / 2 - self.back) / self.hop
            nearest = (centres * teacher.shape[1] / frames).long().clamp(0, teacher.shape[1] - 1)
            ids = teacher[:, nearest]
            logits = applied(self.heard, x)
            nats = -(self.targets.to(x)[ids.clamp_min(0)] * logits.log_softmax(-1)).sum(-1)
            pitch = (nats * (ids >= 0)).sum() / (ids >= 0).sum().clamp_min(1)
            told = self.low * (self.high / self.low) ** ((ids.double() + 0.5) / self.tones) * (ids < self.tones)
            follow = (torch.rand(batch, 1, device=x.device) < share) & (ids >= 0)
            hertz = torch.where(follow, told, self.hertz(logits.detach()))
            # any phase and any stretch of the noise, not those that crops begin with
            memory = self.recall(batch, x)
            if self.training:
                memory[:, 0] = torch.rand(batch, device=x.device)
                memory[:, 1] = torch.randint(NOISE_FRAMES, (batch,), device=x.device)
            spectra, power, _ = self._excited(x, hertz, memory)
            return self.sound(spectra, like), {"pitch": pitch, "envelope": self._envelope(power, wave)}

    def _excited(self, x: Tensor, hertz: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float[B, F, D] and Hz double[B, F] -> spectra, their power expected over the noise, and what to remember."""
        voice, angle, breath = applied(self.out, x).chunk(3, -1)
        phase, memory = run_on(hertz, self.rate / self.hop, memory)
        shape, turn = harmonics(hertz.to(x.dtype), phase[:, :, 0].to(x.dtype), self.fft, self.rate)
        loud, breath = (part.clamp(max=LOUDEST).exp() for part in (voice + shape, breath))
        angle = angle + turn
        noise = torch.view_as_complex(self.noise[phase[:, :, 1].round().long()].to(x.dtype)) * breath
        spectra = torch.complex(loud * angle.cos(), loud * angle.sin()) + noise
        return spectra, loud.square() + breath.square(), memory

    def _envelope(self, power: Tensor, wave: Tensor) -> Tensor:
        """float[B, F, bins] against the spectra of float[B, T] in the same windows: L1 of their log bands."""
        span = (power.shape[1] - 1) * self.hop + self.fft
        frames = F.pad(wave.float(), (self.back, self.fft))[:, :span].unfold(1, self.fft, self.hop)
        wanted = torch.fft.rfft(frames * self.hann(frames)).abs()
        floor = 3e-5 * self.fft / 4  # of a full-scale sine, as `Distance` has it
        found, wanted = ((size @ self.bands.to(size)).clamp_min(floor).log() for size in (power.sqrt(), wanted))
        return F.l1_loss(found, wanted)


def _smooth(tones: int) -> Tensor:
    """float[tones + 1, tones + 1]: what the teacher's symbol says of each: bins beside its own are hardly wrong."""
    at = torch.arange(tones, dtype=torch.float32, device="cpu")
    table = torch.exp(-((at[:, None] - at) ** 2) / 2)
    full = torch.zeros(tones + 1, tones + 1, device="cpu")
    full[:tones, :tones] = table / table.sum(1, keepdim=True)
    full[tones, tones] = 1.0
    return full
