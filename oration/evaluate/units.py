"""What discrete units say about phones, and what they cost: purities, PNMI, codebook use, bitrates.

Phone purity, cluster purity and phone-normalised mutual information are those of HuBERT (Hsu et al. 2021,
arXiv:2106.07447, section IV-C), from the joint distribution of unit z and phone y over frames:

    phone purity    E_z[ max_y p(y | z) ]        grows with the number of units by itself
    cluster purity  E_y[ max_z p(z | y) ]        falls with it
    PNMI            I(y; z) / H(y)               share of the phones' uncertainty that the units remove

A frame takes the phone at its centre, silence counted as one phone. All are plug-in estimates: with few frames per
(unit, phone) cell they come out too high, so compare only on the same clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Spec, Stream
from oration.data.manifest import Clip
from oration.evaluate.interval import Bootstrap, Estimate

Fold = Callable[[str], str]
"""A corpus label -> the phone it counts as (`fold_timit`, `fold_arpabet`)."""


@dataclass(frozen=True)
class UnitPurity:
    """How well units tell phones; shares in 0 .. 1."""

    phone_purity: Estimate
    cluster_purity: Estimate
    pnmi: Estimate
    frames: int
    """With a phone; frames outside every labelled phone are left out."""
    phones: int
    """How many different phones occur."""
    units: int
    """How many different units occur."""


@dataclass(frozen=True)
class UnitCost:
    """Bits per second are base 2."""

    size: int
    used: Estimate
    """Share of the codebook that occurs."""
    perplexity: Estimate
    """exp of the units' entropy: the number of equally likely units that would be as unpredictable."""
    nominal_bitrate: float
    """rate x log2(size)"""
    entropy_bitrate: Estimate
    """rate x entropy of the units: the cost under an ideal memoryless code."""
    runs_per_second: Estimate
    """Items a second after repeats are merged."""
    runs_bitrate: Estimate
    """Runs a second x (entropy of the runs' units + entropy of their durations): merged, and still lossless."""
    run_units_bitrate: Estimate
    """Runs a second x entropy of the runs' units: merged, durations thrown away."""
    seconds: float
    frames: int


def frame_labels(clip: Clip, frames: int, rate: float, fold: Fold, offset: float = 0.5) -> list[str | None]:
    """The phone at each frame's centre, (i + offset) / rate seconds; None outside every phone."""
    labels: list[str | None] = [None] * frames
    if not clip.phones:
        return labels
    starts = np.array([start for start, _, _ in clip.phones])
    stops = np.array([stop for _, stop, _ in clip.phones])
    centres = (np.arange(frames) + offset) / rate
    at = np.searchsorted(starts, centres, side="right") - 1
    inside = (at >= 0) & (centres < stops[at])
    for frame in np.flatnonzero(inside):
        labels[frame] = fold(clip.phones[at[frame]][2])
    return labels


def purity(
    units: Sequence[Stream],
    clips: Sequence[Clip],
    spec: Spec,
    *,
    fold: Fold,
    offset: float = 0.5,
    leave_out: Sequence[str] = (),
    clusters: Sequence[str] | None = None,
    bootstrap: Bootstrap | None = None,
) -> UnitPurity:
    """How well units and phones agree frame by frame.

    Args:
        units: one regular stream a clip.
        fold: corpus label -> phone.
        offset: place of a frame's centre, in frames after its onset.
        leave_out: folded phones not to count, such as ("SIL",).
        clusters: a label a clip (speaker) that is resampled whole.

    Raises:
        BadInput: streams and clips differ in number, a stream is irregular, or no frame has a phone.
    """
    _check(units, clips, spec)
    pairs = []
    for number, (stream, clip) in enumerate(zip(units, clips, strict=True)):
        labels = frame_labels(clip, len(stream), float(spec.rate or 0), fold, offset)
        for unit, label in zip(stream.ids.tolist(), labels, strict=True):
            if label is not None and label not in leave_out:
                pairs.append((number, label, unit))
    if not pairs:
        raise BadInput(f"none of the {len(clips)} clips has a phone at any frame; give clips whose phones carry times")
    clip_of = np.array([pair[0] for pair in pairs])
    phones, phone = np.unique([pair[1] for pair in pairs], return_inverse=True)
    kinds, unit = np.unique([pair[2] for pair in pairs], return_inverse=True)
    cells, cell = np.unique(phone * len(kinds) + unit, return_inverse=True)
    counts = np.zeros((len(clips), len(cells)))
    np.add.at(counts, (clip_of, cell), 1)
    joint = _Joint(cells // len(kinds), cells % len(kinds), len(phones), len(kinds))
    bootstrap = bootstrap or Bootstrap(rounds=500)
    phone_purity, cluster_purity, pnmi = (
        bootstrap.of_sums(counts, statistic, clusters=clusters, centre=True)
        for statistic in (joint.phone_purity, joint.cluster_purity, joint.pnmi)
    )
    return UnitPurity(phone_purity, cluster_purity, pnmi, len(pairs), len(phones), len(kinds))


@dataclass(frozen=True, eq=False)
class _Joint:
    """Frame counts of the (phone, unit) cells that occur, float[R, C], and what is computed from them."""

    phone: np.ndarray
    unit: np.ndarray
    """int64[C] each: the cell's phone and unit."""
    phones: int
    units: int

    def _best(self, counts: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
        """Share of frames kept when each group keeps only its fullest cell."""
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(size))
        return np.maximum.reduceat(counts[:, order], starts, axis=1).sum(1) / counts.sum(1)

    def phone_purity(self, counts: np.ndarray) -> np.ndarray:
        return self._best(counts, self.unit, self.units)

    def cluster_purity(self, counts: np.ndarray) -> np.ndarray:
        return self._best(counts, self.phone, self.phones)

    def pnmi(self, counts: np.ndarray) -> np.ndarray:
        phone = entropy(_sum_groups(counts, self.phone, self.phones))
        unit = entropy(_sum_groups(counts, self.unit, self.units))
        return (phone + unit - entropy(counts)) / phone


def _sum_groups(counts: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
    """float[R, C] -> float[R, size]."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(size))
    return np.add.reduceat(counts[:, order], starts, axis=1)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Plug-in entropy in nats of counts float[..., C] -> float[...]."""
    share = counts / counts.sum(-1, keepdims=True)
    return -(share * np.log(np.where(share > 0, share, 1))).sum(-1)


def cost(
    units: Sequence[Stream],
    spec: Spec,
    *,
    clusters: Sequence[str] | None = None,
    bootstrap: Bootstrap | None = None,
) -> UnitCost:
    """Codebook use and bitrates of regular unit streams, one a clip.

    Raises:
        BadInput: no units at all, an irregular or continuous stream, or an id outside the spec.
    """
    _check(units, units, spec)
    rate = float(spec.rate or 0)
    ids = [stream.ids for stream in units]
    if not sum(map(len, ids)):
        raise BadInput(f"{len(units)} streams without a single unit; encode recordings that are not empty")
    runs = [_runs(part) for part in ids]
    longest = max((int(lengths.max()) for _, lengths in runs if len(lengths)), default=1)
    frame_counts = np.stack([np.bincount(part, minlength=spec.size) for part in ids])
    run_counts = np.stack([np.bincount(symbols, minlength=spec.size) for symbols, _ in runs])
    lengths = np.stack([np.bincount(each, minlength=longest + 1) for _, each in runs])
    bootstrap = bootstrap or Bootstrap(rounds=500)

    def measure(columns: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        return bootstrap.of_sums(columns, statistic, clusters=clusters, centre=True)

    both = np.concatenate([frame_counts, run_counts, lengths], 1)
    first, last = spec.size, 2 * spec.size

    def speed(sums: np.ndarray) -> np.ndarray:
        return rate * sums[:, first:last].sum(1) / sums[:, :first].sum(1)

    def unit_bits(sums: np.ndarray) -> np.ndarray:
        return speed(sums) * entropy(sums[:, first:last]) / np.log(2)

    return UnitCost(
        size=spec.size,
        used=measure(frame_counts, lambda sums: (sums > 0).mean(1)),
        perplexity=measure(frame_counts, lambda sums: np.exp(entropy(sums))),
        nominal_bitrate=rate * float(np.log2(spec.size)),
        entropy_bitrate=measure(frame_counts, lambda sums: rate * entropy(sums) / np.log(2)),
        runs_per_second=measure(both, speed),
        runs_bitrate=measure(both, lambda sums: unit_bits(sums) + speed(sums) * entropy(sums[:, last:]) / np.log(2)),
        run_units_bitrate=measure(both, unit_bits),
        seconds=sum(map(len, ids)) / rate,
        frames=sum(map(len, ids)),
    )


def _runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and lengths of the stretches of equal symbols."""
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, np.int64)
    return ids[starts], np.diff(np.r_[starts, len(ids)])


def _check(units: Sequence[Stream], clips: Sequence[object], spec: Spec) -> None:
    if len(units) != len(clips):
        raise BadInput(
            f"{len(units)} unit streams for {len(clips)} clips; expected one stream a clip, in the same order"
        )
    if spec.rate is None or spec.dim:
        raise BadInput(
            f"units need a rate and no vectors, but their spec is {spec}; give the regular stream before merging"
        )
    for number, stream in enumerate(units):
        if stream.onsets is not None:
            raise BadInput(f"stream {number} is irregular; give the regular units, merging is part of the measure")
        stream.verify(f"units of clip {number}", spec)
