"""ABX: do two tokens of one phone lie closer together than a token of another phone? Nothing is trained or fitted.

Definitions of libri-light and the ZeroSpeech challenges (Schatz et al. 2013; Kahn et al. 2020, arXiv:1912.07875), with
slicing that keeps a token's last frame (their scripts drop it), so that errors come out slightly higher than theirs:

    token      the frames whose centre lies in the phone: ceil(on rate - offset) .. floor(off rate - offset)
    distance   angle between frames by pi, warped in time, by the length of the path; discrete units count as one-hot
    cell       A, X of one phone and B of another, same context; A, B of one speaker, X of the same or of another:
               share of triples (A, B, X) with d(B, X) < d(A, X), ties one half
    error      mean over contexts (and X's speakers), then over speakers of A and B, then over ordered pairs of phones

With context "triphone" all three tokens have the same left and right neighbour, which needs hours of speech to fill
its cells; with "any" neighbours are free, which is a harder task and fits a small labelled sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from oration.core import BadInput, Stream
from oration.data.manifest import Clip
from oration.evaluate.dtw import angles, mismatches, warp
from oration.evaluate.interval import UNSAVED, Bootstrap, Estimate

JOB = 6_000_000
"""Frame distances held at once (float32)."""


@dataclass(frozen=True)
class ABXResult:
    """The interval resamples speakers, as A and B's and as X's: phones are all of them, speakers are a sample."""

    error: Estimate
    """Share in 0 .. 1; 0.5 is chance."""
    speaker: str
    context: str
    tokens: int
    """Phone tokens compared."""
    dropped: int
    """Tokens so short that no frame has its centre in them."""
    triples: int
    cells: int
    """Of context, speakers and ordered phone pair."""
    pairs: int
    """Ordered phone pairs with at least one cell."""
    group: int
    x_speakers: int
    seed: int
    table: _Table = field(repr=False, metadata=UNSAVED)


@dataclass(frozen=True, eq=False)
class _Table:
    """Cells summed over contexts: entries (speaker of A and B, pair, speaker of X) of rows (speaker, pair)."""

    speakers: tuple[str, ...]
    across: bool
    x: np.ndarray
    """int64[E]: speaker of X."""
    row: np.ndarray
    """int64[E]"""
    errors: np.ndarray
    cells: np.ndarray
    """float64[E] each: sum of the cells' errors, and how many cells."""
    row_speaker: np.ndarray
    row_pair: np.ndarray
    """int64[R] each; pairs are numbered without holes."""

    @classmethod
    def of(cls, speakers: tuple[str, ...], across: bool, cells: np.ndarray, errors: np.ndarray) -> _Table:
        """From cells int64[C, 3]: speaker of A and B, pair, speaker of X."""
        entries, place = np.unique(cells, axis=0, return_inverse=True)
        rows, row = np.unique(entries[:, :2], axis=0, return_inverse=True)
        place = place.reshape(-1)
        return cls(
            speakers,
            across,
            entries[:, 2],
            row.reshape(-1),
            np.bincount(place, errors),
            np.bincount(place).astype(np.float64),
            rows[:, 0],
            np.unique(rows[:, 1], return_inverse=True)[1],
        )

    def error(self, weights: np.ndarray) -> float:
        """Mean over contexts and X's speakers, then over speakers, then over pairs; speakers weigh float[S]."""
        each = weights[self.x] if self.across else np.ones(len(self.x))
        over, under = np.bincount(self.row, each * self.errors), np.bincount(self.row, each * self.cells)
        vote = np.where(under > 0, weights[self.row_speaker], 0)
        mean = over / np.where(under > 0, under, 1)
        over, under = np.bincount(self.row_pair, vote * mean), np.bincount(self.row_pair, vote)
        some = under > 0
        return float((over[some] / under[some]).mean()) if some.any() else np.nan


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Phone tokens sorted by context, speaker and phone; a group is a stretch that agrees in all three."""

    speakers: tuple[str, ...]
    phones: tuple[str, ...]
    frames: np.ndarray
    """int64[N, 3]: clip, first frame and number of frames of each token."""
    groups: np.ndarray
    """int64[G, 3]: context, speaker and phone of each group."""
    start: np.ndarray
    """int64[G + 1]: the tokens of group g are start[g] .. start[g + 1]."""
    dropped: int

    @property
    def phone(self) -> np.ndarray:
        return self.groups[:, 2]

    @property
    def length(self) -> np.ndarray:
        return self.frames[:, 2]


Item = tuple[int, int, int]
"""The first and one past the last group of one context and speaker (A and B), and the group of X."""

Cell = tuple[tuple[int, int, int], float, int]
"""(Speaker of A and B, phone pair, speaker of X), error, number of triples."""


@dataclass(frozen=True, kw_only=True)
class ABX:
    """The task. The defaults are libri-light's limits."""

    speaker: Literal["within", "across"] = "within"
    context: Literal["triphone", "any"] = "triphone"
    group: int = 10
    """Most tokens of one phone, context and speaker; more are drawn from."""
    x_speakers: int = 5
    """Most speakers of X for one phone, context and speaker of A and B (across)."""
    offset: float = 0.5
    """A frame's centre, in frames after its onset."""
    leave_out: tuple[str, ...] = ("SIL",)
    """Folded labels that are no phones; as neighbours they count."""
    seed: int = 3459

    def __call__(
        self,
        features: Sequence[np.ndarray | Stream],
        clips: Sequence[Clip],
        rate: float,
        *,
        fold: Callable[[str], str],
        bootstrap: Bootstrap | None = None,
    ) -> ABXResult:
        """Error rate of frames against timed phones.

        Args:
            features: one a clip, float[T, D], int[T] (discrete) or a regular Stream.
            rate: frames a second.
            fold: corpus label -> phone (`fold_timit`).

        Raises:
            BadInput: features do not fit the clips, or no cell can be filled.
        """
        frames = [_frames(one, number) for number, one in enumerate(features)]
        if len(frames) != len(clips):
            raise BadInput(
                f"{len(frames)} feature sequences for {len(clips)} clips; expected one a clip, in the same order"
            )
        if len({one.shape[1:] for one in frames}) > 1:
            raise BadInput(f"clips differ in the width of their features: {sorted({one.shape[1:] for one in frames})}")
        unknown = next((clip.id for clip in clips if clip.speaker is None), None)
        if unknown is not None:
            raise BadInput(
                f"clip {unknown!r} has no speaker, and ABX compares by speaker; name it or leave the clip out"
            )
        tokens = self._tokens(frames, clips, rate, fold)
        cells = list(self._cells(frames, tokens))
        if not cells:
            raise BadInput(
                f"ABX {self.speaker} speakers, context {self.context!r}, finds no cell in {len(tokens.frames)} tokens "
                f"of {len(tokens.speakers)} speakers; give more speech, or context='any'"
            )
        keys, errors, triples = (np.array(column) for column in zip(*cells, strict=True))
        table = _Table.of(tokens.speakers, self.speaker == "across", keys, errors)
        bootstrap, speakers = bootstrap or Bootstrap(rounds=500), len(tokens.speakers)
        replicates = [table.error(draw) for draw in np.concatenate(list(bootstrap.draws(speakers)))]
        return ABXResult(
            error=bootstrap.estimate(table.error(np.ones(speakers)), np.array(replicates), speakers),
            speaker=self.speaker,
            context=self.context,
            tokens=len(tokens.frames),
            dropped=tokens.dropped,
            triples=int(triples.sum()),
            cells=len(cells),
            pairs=int(table.row_pair.max()) + 1,
            group=self.group,
            x_speakers=self.x_speakers,
            seed=self.seed,
            table=table,
        )

    def _tokens(
        self, frames: Sequence[np.ndarray], clips: Sequence[Clip], rate: float, fold: Callable[[str], str]
    ) -> _Tokens:
        rows: list[tuple[str, str, str, int, int, int]] = []
        for number, clip in enumerate(clips):
            labels = ["", *(fold(label) for _, _, label in clip.phones), ""]
            for at, (start, stop, _) in enumerate(clip.phones, 1):
                if labels[at] in self.leave_out:
                    continue
                first = max(0, int(np.ceil(start * rate - self.offset - 1e-9)))
                last = min(len(frames[number]) - 1, int(np.floor(stop * rate - self.offset + 1e-9)))
                context = f"{labels[at - 1]} {labels[at + 1]}" if self.context == "triphone" else ""
                rows.append((context, str(clip.speaker), labels[at], number, first, max(0, last - first + 1)))
        # Drawn before anything is dropped, so that features of two frame rates get the same tokens.
        lot = np.random.default_rng(self.seed).random(len(rows))
        dropped = sum(row[-1] == 0 for row in rows)
        kept = sorted((row[:3], lot[at], row[3:]) for at, row in enumerate(rows) if row[-1])
        edges = [0, *(at for at, (a, b) in enumerate(pairwise(kept), 1) if a[0] != b[0]), len(kept)]
        chosen = [kept[start : min(stop, start + self.group)] for start, stop in pairwise(edges) if stop > start]
        names = [sorted({row[0][column] for row in kept}) for column in range(3)]
        index = [{name: at for at, name in enumerate(column)} for column in names]
        keys = np.array([[index[c][rows[0][0][c]] for c in range(3)] for rows in chosen], np.int64).reshape(-1, 3)
        flat = np.array([token[2] for rows in chosen for token in rows], np.int64).reshape(-1, 3)
        starts = np.cumsum([0, *(len(rows) for rows in chosen)])
        return _Tokens(tuple(names[1]), tuple(names[2]), flat, keys, starts, dropped)

    def _items(self, tokens: _Tokens) -> Iterator[Item]:
        """Which group stands for X against which block of A and B."""
        if not len(tokens.phone):
            return
        key = tokens.groups[:, 0] * len(tokens.speakers) + tokens.groups[:, 1]
        edges = np.r_[0, np.flatnonzero(np.diff(key)) + 1, len(key)]
        size = np.diff(tokens.start)
        rng = np.random.default_rng(self.seed)
        twins: dict[tuple[int, ...], list[int]] = {}
        for g, where in enumerate(tokens.groups[:, ::2].tolist()):
            twins.setdefault(tuple(where), []).append(g)
        for low, high in pairwise(edges.tolist()):
            if high - low < 2:
                continue
            for a in range(low, high):
                if self.speaker == "within":
                    if size[a] > 1:
                        yield low, high, a
                    continue
                others = [g for g in twins[tuple(tokens.groups[a, ::2].tolist())] if g != a]
                for place in sorted(rng.permutation(len(others))[: self.x_speakers].tolist()):
                    yield low, high, others[place]

    def _cells(self, frames: Sequence[np.ndarray], tokens: _Tokens) -> Iterator[Cell]:
        for job in _jobs(self._items(tokens), tokens):
            distances = _distances(frames, tokens, job)
            for (low, high, x), between in zip(job, distances, strict=True):
                yield from _score(tokens, low, high, x, between)


def _score(tokens: _Tokens, low: int, high: int, x: int, between: np.ndarray) -> Iterator[Cell]:
    """The cells of one block and one X, from float[tokens of the block, tokens of X]."""
    a = low + int(np.flatnonzero(tokens.phone[low:high] == tokens.phone[x])[0])
    start = tokens.start[low : high + 1] - tokens.start[low]
    near = between[start[a - low] : start[a - low + 1]]
    triples = near.size
    if a == x:
        near = near.copy()
        np.fill_diagonal(near, -np.inf)
        triples -= len(near)
    # Errors: B nearer than A. A token is no rival of itself, and nothing is nearer than minus infinity.
    wrong = (between[:, None] < near[None]).sum((1, 2)) + 0.5 * (between[:, None] == near[None]).sum((1, 2))
    totals = np.add.reduceat(wrong, start[:-1])
    for b in range(low, high):
        if b != a:
            count = triples * int(start[b - low + 1] - start[b - low])
            pair = int(tokens.phone[a]) * len(tokens.phones) + int(tokens.phone[b])
            yield (int(tokens.groups[a, 1]), pair, int(tokens.groups[x, 1])), float(totals[b - low] / count), count


def _jobs(items: Iterator[Item], tokens: _Tokens) -> Iterator[list[Item]]:
    """Items in parcels whose frames fit into one matrix."""
    reach = np.concatenate([[0], np.cumsum(tokens.length)])[tokens.start]
    job: list[Item] = []
    tall = wide = 0
    block = (-1, -1)
    for item in items:
        low, high, x = item
        width = int(reach[x + 1] - reach[x])
        height = 0 if block == (low, high) else int(reach[high] - reach[low])
        if job and (tall + height) * (wide + width) > JOB:
            yield job
            job, tall, wide, height = [], 0, 0, int(reach[high] - reach[low])
        job.append(item)
        block = (low, high)
        tall, wide = tall + height, wide + width
    if job:
        yield job


def _distances(frames: Sequence[np.ndarray], tokens: _Tokens, job: Sequence[Item]) -> list[np.ndarray]:
    """For each item the warped distances float32[tokens of the block, tokens of X]."""
    blocks = [np.arange(tokens.start[low], tokens.start[high]) for low, high, _ in job]
    others = [np.arange(tokens.start[x], tokens.start[x + 1]) for _, _, x in job]
    left, right = np.unique(np.concatenate(blocks)), np.unique(np.concatenate(others))
    left_frames, left_at = _gather(frames, tokens, left)
    right_frames, right_at = _gather(frames, tokens, right)
    compare = mismatches if left_frames.ndim == 1 else angles
    first = np.concatenate([np.repeat(block, len(x)) for block, x in zip(blocks, others, strict=True)])
    second = np.concatenate([np.tile(x, len(block)) for block, x in zip(blocks, others, strict=True)])
    warped = warp(
        compare(left_frames, right_frames),
        left_at[np.searchsorted(left, first)],
        tokens.length[first],
        right_at[np.searchsorted(right, second)],
        tokens.length[second],
    )
    shapes = [(len(block), len(x)) for block, x in zip(blocks, others, strict=True)]
    parts = np.split(warped, np.cumsum([a * b for a, b in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _gather(frames: Sequence[np.ndarray], tokens: _Tokens, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames of those tokens end to end, and where each begins."""
    length = tokens.length[which]
    parts = [frames[clip][first : first + count] for clip, first, count in tokens.frames[which].tolist()]
    return np.concatenate(parts), np.cumsum(length) - length


def _frames(features: np.ndarray | Stream, number: int) -> np.ndarray:
    """float[T, D] or int[T]."""
    if isinstance(features, Stream):
        if features.onsets is not None:
            raise BadInput(
                f"stream {number} is irregular, but ABX slices by time; give the regular stream before merging"
            )
        return features.ids if features.values is None else features.values
    features = np.asarray(features)
    if features.ndim not in (1, 2) or (features.ndim == 1 and not np.issubdtype(features.dtype, np.integer)):
        raise BadInput(
            f"features {number} are {features.dtype}{list(features.shape)}, expected float[T, D] or whole numbers [T]"
        )
    return features


def abx_difference(first: ABXResult, second: ABXResult, bootstrap: Bootstrap | None = None) -> Estimate:
    """Error of the first minus that of the second, speakers drawn together.

    Raises:
        BadInput: the two are different tasks, or were measured on other speakers.
    """
    same = (first.speaker, first.context, first.table.speakers) == (
        second.speaker,
        second.context,
        second.table.speakers,
    )
    if not same:
        raise BadInput(
            "two ABX errors compare only for the same task and the same speakers; measure both on the same clips"
        )
    bootstrap, speakers = bootstrap or Bootstrap(rounds=500), len(first.table.speakers)
    draws = np.concatenate(list(bootstrap.draws(speakers)))
    gaps = np.array([first.table.error(draw) - second.table.error(draw) for draw in draws])
    return bootstrap.estimate(first.error.value - second.error.value, gaps, speakers)
