"""How long each unit lasts and how the voice moves: what a language model of merged units leaves open.

The duration predictor stands between such a model and a vocoder in Polyak et al. 2021 (arXiv:2104.00355, section 2.2,
after FastSpeech 2). Here durations and pitch bins are distributions, so that the mean and its doubt are both known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from oration.core import BadInput, Example, Spec, Specs, Stream
from oration.nn.convnext import ConvNeXtBlock


@dataclass(frozen=True, kw_only=True)
class Prosody:
    """Runs of units (and who speaks) -> durations, the units frame by frame, and pitch if there is a stream `f0`."""

    needs: tuple[str, ...] = ("units.runs",)
    """The stream of runs first; any further stream has one item, such as `speaker`."""
    width: int = 192
    inner: int = 320
    run_dilations: tuple[int, ...] = (1, 2, 4, 1)
    """One block over runs each."""
    frame_dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    """One block over frames each."""
    kernel: int = 7
    longest: int = 32
    """Frames of the longest run; the merged stream splits longer ones."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not self.needs or not self.needs[0].endswith(".runs"):
            raise BadInput(f"prosody reads a stream of runs first, such as 'units.runs', but got needs={self.needs}")

    @classmethod
    def tiny(cls) -> Prosody:
        return cls(width=16, inner=16, run_dilations=(1,), frame_dilations=(1,), kernel=3, dropout=0.0)

    @property
    def stream(self) -> str:
        """The units that the runs are runs of."""
        return self.needs[0].removesuffix(".runs")

    def build(self, specs: Specs) -> ProsodyModel:
        """The predictor for units and pitch of these specs.

        Raises:
            BadInput: nothing gives the units, or the pitch's rate is no multiple of theirs.
        """
        return ProsodyModel(self, specs)


class ProsodyModel(nn.Module):
    """For `ProsodyLoss`: `hidden`, `duration_logits` and `pitch_logits`; for everybody: `predict`."""

    def __init__(self, config: Prosody, specs: Specs) -> None:
        super().__init__()
        self.config, self.needs, self.stream = config, config.needs, config.stream
        units = _given(specs, self.stream)
        self.rate = Fraction(units.rate or 1)
        self.pitch = specs.get("f0")
        self.per_frame = 0 if self.pitch is None else _whole(Fraction(self.pitch.rate or 0), self.rate)
        self.gives = (f"{self.stream}.durations", self.stream, *(("f0",) if self.pitch else ()))
        dim = config.width
        self.unit_table = nn.Embedding(units.size, dim)
        self.whole_tables = nn.ModuleList(nn.Embedding(_given(specs, name).size, dim) for name in config.needs[1:])
        self.sizes = {config.needs[0]: units.size} | {name: specs[name].size for name in config.needs[1:]}
        self.run_blocks = _blocks(config, config.run_dilations)
        self.durations = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, config.longest))
        self.since = nn.Embedding(config.longest, dim)
        self.until = nn.Embedding(config.longest, dim)
        self.frame_blocks = _blocks(config, config.frame_dilations)
        bins = self.pitch.size if self.pitch else 0
        self.bins = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, bins * self.per_frame)) if bins else None
        self.drop = nn.Dropout(config.dropout)

    def hidden(self, runs: Tensor, whole: Sequence[Tensor] = (), valid: Tensor | None = None) -> Tensor:
        """Runs long[B, R], long[B] for each one-item stream -> float[B, R, D]; `valid` float[B, R, 1], 0: padding."""
        x = self.unit_table(runs.clamp_min(0))
        for table, value in zip(self.whole_tables, whole, strict=True):
            x = x + table(value)[:, None]
        for block in self.run_blocks:
            x = self.drop(block(x, valid))
        return x

    def duration_logits(self, hidden: Tensor) -> Tensor:
        """float[B, R, D] -> float[B, R, longest]: class d is a run of d + 1 frames."""
        return self.durations(hidden)

    def pitch_logits(
        self, hidden: Tensor, run: Tensor, since: Tensor, until: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """float[B, R, D] and the frames' runs -> float[B, F * f0 items per frame, bins].

        Args:
            run: long[B, F], the run of each frame.
            since: long[B, F], frames of the run before it.
            until: long[B, F], frames of the run after it.
            valid: float[B, F, 1], 0 in padding.
        """
        assert self.bins is not None, "there is no stream f0"
        x = hidden.gather(1, run[..., None].expand(-1, -1, hidden.shape[-1]))
        x = x + self.since(since) + self.until(until)
        for block in self.frame_blocks:
            x = self.drop(block(x, valid))
        return self.bins(x).unflatten(-1, (self.per_frame, -1)).flatten(1, 2)

    def predict(self, examples: Sequence[Example]) -> list[Example]:
        """Examples with runs -> the same with durations (kept where known), units and, if there is such a stream, `f0`.

        Raises:
            BadInput: a needed stream is missing, or holds symbols it cannot hold.
        """
        was = self.training
        self.eval()
        try:
            with torch.inference_mode():
                return [self._predict(example) for example in examples]
        finally:
            self.train(was)

    def _predict(self, example: Example) -> Example:
        for name in self.needs:
            if name not in example:
                raise BadInput(f"prosody needs the stream {name!r}, but the example has only {sorted(example)}")
            example[name].verify(name, Spec(self.sizes[name]))
        device = self.unit_table.weight.device
        runs = torch.from_numpy(example[self.needs[0]].ids).to(device)[None]
        whole = [torch.from_numpy(example[name].ids[:1]).to(device) for name in self.needs[1:]]
        hidden = self.hidden(runs, whole)
        known = example.get(f"{self.stream}.durations")
        if known is not None and len(known) == runs.shape[1]:
            lengths = known.ids + 1
        else:
            chances = self.duration_logits(hidden)[0].float().softmax(-1).cpu().numpy()
            lengths = rounded(chances @ np.arange(1, self.config.longest + 1))
        found = {
            **example,
            f"{self.stream}.durations": Stream(lengths - 1, example[self.needs[0]].onsets),
            self.stream: Stream(np.repeat(example[self.needs[0]].ids, lengths)),
        }
        if self.bins is not None:
            found["f0"] = Stream(self._pitch(hidden, lengths))
        return found

    def _pitch(self, hidden: Tensor, lengths: np.ndarray) -> np.ndarray:
        """int64[F * per frame]: the mean bin where voice is likelier than none."""
        if not len(lengths):
            return np.zeros(0, np.int64)
        run = np.repeat(np.arange(len(lengths)), lengths)
        since = np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        until = np.repeat(lengths, lengths) - 1 - since
        last = self.config.longest - 1
        where = [torch.from_numpy(a)[None].to(hidden.device) for a in (run, since.clip(max=last), until.clip(max=last))]
        chances = self.pitch_logits(hidden, *where)[0].float().softmax(-1).cpu().numpy()
        voiced, none = chances[:, :-1], chances[:, -1]
        mean = (voiced @ np.arange(voiced.shape[1])) / voiced.sum(1).clip(min=1e-9)
        return np.where(none > 0.5, voiced.shape[1], mean.round().astype(np.int64))


def rounded(lengths: np.ndarray) -> np.ndarray:
    """Expected lengths in frames -> whole ones, at least 1, whose running total stays near the expected one.

    >>> rounded(np.array([1.4, 1.4, 1.4, 1.4, 0.1]))
    array([1, 2, 1, 2, 1])
    """
    whole, owed = np.ones(len(lengths), np.int64), 0.0
    for at, length in enumerate(lengths):
        owed += float(length)
        whole[at] = max(1, round(owed))
        owed -= whole[at]
    return whole


def _blocks(config: Prosody, dilations: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(
        ConvNeXtBlock(config.width, config.inner, config.kernel, dilation=dilation, scale=1 / len(dilations))
        for dilation in dilations
    )


def _given(specs: Specs, name: str) -> Spec:
    if name not in specs:
        raise BadInput(f"nothing gives {name!r}, needed by the prosody; known streams: {sorted(specs)}")
    return specs[name]


def _whole(pitch: Fraction, units: Fraction) -> int:
    ratio = pitch / units
    if ratio.denominator != 1 or ratio < 1:
        raise BadInput(
            f"'f0' comes at {float(pitch):g} Hz, expected a multiple of the units' {float(units):g} Hz; "
            "change the rate of the F0 tokenizer"
        )
    return int(ratio)
