"""Keeps the model's own voice, coming back through the microphone, from being taken for the user's.

The session knows what it sent and how far the client has played it, so it knows what the loudspeaker says at any input
position, but for some delay. In bands of the spectrum it looks for the delay at which the input's loudness moves as the
loudspeaker's does, learns how loud each band comes back, and takes that much out of the input: suppression by a gain
per band, as in Faller and Chen 2005 (IEEE Transactions on Speech and Audio Processing 13(5), "Suppressing acoustic echo
in a spectral envelope space"). It does not cancel the wave, so no exact delay and no common clock is needed.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from oration.dialogue.ledger import Ledger
from oration.dialogue.policy import Echo

STEP = 0.016
"""Seconds between two spectra."""
BANDS = 24
WINDOW = 40
"""Spectra that the search for the delay compares: 0.64 s."""
EARLY = 6
"""Spectra that are added to the longest delay: confirmations come in steps."""
TAIL = 0.72
"""How much of a room's sound is left from one spectrum to the next."""
MORE = 3.0
"""How much more than the echo that is expected is taken away."""
SHARE = 0.85
"""Of the ratios seen in a band, the share below what is taken for its gain: rather too much than too little."""
LEAST = 0.03
"""The smallest gain of a band."""
FEARED = 1.0
"""Power of the echo by that of the loudspeaker which is expected before anything was learnt."""
SOON = 12
"""Spectra after which the search may find something: 0.2 s."""
DOUBT = 50
"""Spectra with sound, 0.8 s, after which a loudspeaker that was never found is taken for headphones."""
AUDIBLE = 1e-2
"""Power over all bands from which the loudspeaker counts as heard."""


class Guard:
    """One session's. It costs nothing while the model is silent."""

    def __init__(self, rate: int) -> None:
        self.rate, self.step = rate, round(STEP * rate)
        self.size = 2 * self.step
        self.window = np.sqrt(np.hanning(self.size + 1)[:-1]).astype(np.float32)
        self.bands = _bands(self.size // 2 + 1, rate)
        self.gain = np.zeros(BANDS)
        """Power of the echo by power of the loudspeaker, per band, as far as it is known."""
        self.sure = 0.0
        """How well the input moved with the loudspeaker, lately: 0 to 1."""
        self.delay = 0
        """Steps from the loudspeaker's sound, as confirmations tell it, to the microphone's."""
        self._learnt, self._heard, self._fear = False, 0, FEARED
        self._said = _Said()
        self._playing = 0.0  # output position that sounds now, as far as confirmations tell
        self._last = -1  # the confirmation that it was told from
        self._far: deque[np.ndarray] = deque(maxlen=WINDOW + 64)  # power of the loudspeaker by band, per step
        self._near: deque[np.ndarray] = deque(maxlen=WINDOW)
        self._before = np.zeros(self.step, np.float32)
        self._far_before = np.zeros(self.step, np.float32)
        self._overlap = np.zeros(self.step, np.float32)
        self._quiet = 1 << 30  # samples since the loudspeaker was last heard
        self._rest = np.zeros(0, np.float32)
        self._tail = np.zeros(BANDS)

    def emitted(self, samples: np.ndarray, start: int) -> None:
        """Sound of the model at this output position."""
        self._said.add(samples, start)

    def clean(self, samples: np.ndarray, ledger: Ledger, policy: Echo) -> np.ndarray:
        """A frame of input without what is the model's, float32[n], a step late while the model sounds."""
        far = self._sounding(len(samples), ledger)
        self._quiet = 0 if np.any(far) else min(1 << 30, self._quiet + len(samples))
        if not policy.guard or self._quiet > (policy.delay + 0.5) * self.rate:
            return self._pass(samples)
        near, found = np.concatenate([self._rest, samples]), []
        whole = len(samples) // self.step * self.step
        if whole != len(samples):  # frames of another length than whole steps are looked at in the nearest number
            return samples
        for at in range(0, whole, self.step):
            found.append(self._one(near[at : at + self.step], far[at : at + self.step], policy))
        return np.concatenate(found)

    def _pass(self, samples: np.ndarray) -> np.ndarray:
        """Nothing to take out: the sound as it is, with what is still inside the overlap."""
        if not self._overlap.any():
            return samples
        out = samples.copy()
        n = min(len(out), self.step)
        out[:n] += self._overlap[:n]
        self._overlap[:], self._before[:], self._far_before[:] = 0.0, 0.0, 0.0
        self._far.clear()
        self._near.clear()
        return out

    def _sounding(self, samples: int, ledger: Ledger) -> np.ndarray:
        """What the loudspeaker says during the next samples of input, float32[n]."""
        if ledger.confirmed != self._last:
            told = float(ledger.confirmed)
            if abs(told - self._playing) > 0.06 * self.rate:
                self._playing = told
            self._last = ledger.confirmed
        start, limit = int(self._playing), ledger.sent
        stop = min(start + samples, max(limit, start))
        found = np.zeros(samples, np.float32)
        if stop > start:
            found[: stop - start] = self._said.cut(start, stop)
            self._playing = stop
        return found

    def _one(self, near: np.ndarray, far: np.ndarray, policy: Echo) -> np.ndarray:
        """A step of input, float32[step] -> the step before it, float32[step]"""
        spectrum = np.fft.rfft(np.concatenate([self._before, near]) * self.window)
        beside = np.fft.rfft(np.concatenate([self._far_before, far]) * self.window)
        self._before, self._far_before = near, far
        power = self.bands @ (np.abs(spectrum) ** 2)
        self._near.append(power)
        self._far.append(self.bands @ (np.abs(beside) ** 2))
        longest = EARLY + round(policy.delay / STEP)
        self._search(longest, policy.alike)
        expected = self._expected()
        gains = np.sqrt(np.clip(1.0 - MORE * expected / (power + 1e-9), LEAST**2, 1.0))
        if power.sum() < expected.sum() * 10 ** (policy.louder / 10):  # nothing that stands out: the model's alone
            gains = np.minimum(gains, LEAST)
        spectrum *= gains @ self.bands
        sound = (np.fft.irfft(spectrum) * self.window).astype(np.float32)
        out = sound[: self.step] + self._overlap
        self._overlap = sound[self.step :]
        return out

    def _search(self, longest: int, alike: float) -> None:
        """The delay at which the input moves as the loudspeaker does, and how loud it comes back."""
        near, far = np.array(self._near), np.array(self._far)
        n = len(near)
        self._heard += bool(far[-1].sum() > AUDIBLE)
        if n < SOON or self._heard % 4:
            return
        x, y = (near + 1e-9) ** 0.25, (far[-(n + longest) :] + 1e-9) ** 0.25
        x = x - x.mean(axis=0)
        windows = np.lib.stride_tricks.sliding_window_view(y, n, axis=0)  # [lags, BANDS, n], the longest delay first
        both = np.einsum("lbn,nb->l", windows, x)
        own = (windows**2).sum(axis=(1, 2)) - n * (windows.mean(axis=2) ** 2).sum(axis=1)
        match = both / np.sqrt(np.maximum(own, 1e-9) * (x**2).sum() + 1e-12)
        best = int(np.argmax(match))
        self.sure = float(match[best])
        if self.sure < alike:
            if self._heard > DOUBT and not self._learnt:
                self._learnt, self._fear = True, 0.0
            return
        self._learnt, self.delay, self._fear = True, len(match) - 1 - best, 0.7 * self._fear
        heard = far[len(far) - n - self.delay : len(far) - self.delay]
        loud = heard > 0.1 * heard.max(axis=0, keepdims=True) + 1e-6
        found = np.array([np.quantile(near[at, b] / heard[at, b], SHARE) if at.sum() >= 3 else self.gain[b]
                          for b, at in enumerate(loud.T)])  # fmt: skip
        self.gain = np.where(self.gain > 0, 0.7 * self.gain + 0.3 * found, found)

    def _expected(self) -> np.ndarray:
        """Power of the echo in each band, now."""
        if not self._learnt:  # nothing is known of the way back: the worst is expected, for a moment
            return self._fear * np.max(self._far, axis=0)
        at = len(self._far) - 1 - self.delay
        around = [self._far[i] for i in range(max(0, at - 1), min(len(self._far), at + 2))]
        direct = np.max(around, axis=0) if around else np.zeros(BANDS)
        self._tail = np.maximum(direct, TAIL * self._tail)
        return np.maximum(self.gain, self._fear) * self._tail


class _Said:
    """The last seconds of the model's sound, by output position."""

    def __init__(self, keep: int = 1 << 19) -> None:
        self._keep, self._pieces = keep, deque[tuple[int, np.ndarray]]()

    def add(self, samples: np.ndarray, start: int) -> None:
        self._pieces.append((start, samples))
        while self._pieces[0][0] + len(self._pieces[0][1]) < start - self._keep:
            self._pieces.popleft()

    def cut(self, start: int, stop: int) -> np.ndarray:
        """float32[stop - start], zeros where nothing is known."""
        found = np.zeros(stop - start, np.float32)
        for at, piece in reversed(self._pieces):
            first, last = max(start, at), min(stop, at + len(piece))
            if first < last:
                found[first - start : last - start] = piece[first - at : last - at]
            if at <= start:
                break
        return found


def _bands(bins: int, rate: int) -> np.ndarray:
    """float[BANDS, bins]: which bin belongs to which band, from 100 Hz on, wider and wider."""
    edges = np.geomspace(100.0, min(7500.0, 0.47 * rate), BANDS + 1)
    hertz = np.arange(bins) * rate / (2 * (bins - 1))
    at = np.clip(np.searchsorted(edges, hertz) - 1, 0, BANDS - 1)
    return np.eye(BANDS)[:, at]
