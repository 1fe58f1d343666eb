"""ABX: by hand, against a slow oracle that shares no code, and as properties."""

import math
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Stream
from oration.data.manifest import Clip
from oration.evaluate.abx import ABX, abx_difference
from oration.evaluate.dtw import angles, mismatches, warp
from oration.evaluate.interval import Bootstrap, to_json

RATE = 50.0
QUICK = Bootstrap(rounds=20)


def same(label):
    return label


def clip(tokens, speaker, name="c"):
    """Phones end to end; `tokens` is [(label, frames)]."""
    at, phones = 0, []
    for label, frames in tokens:
        phones.append((at / RATE, (at + frames) / RATE, label))
        at += frames
    return Clip(id=name, path=Path("none.wav"), seconds=at / RATE, speaker=speaker, phones=tuple(phones))


# The oracle: one triple after another, plain Python.


def frame_distance(a, b):
    if isinstance(a, int):
        return 0.0 if a == b else 0.5
    na, nb = math.sqrt(sum(x * x for x in a)), math.sqrt(sum(x * x for x in b))
    if na == 0 or nb == 0:
        return 0.0 if na == nb else 1.0
    cosine = sum(x * y for x, y in zip(a, b, strict=True)) / (na * nb)
    return 0.0 if cosine > 1 - 5e-7 else math.acos(max(-1.0, cosine)) / math.pi


def warped(first, second):
    n, m = len(first), len(second)
    local = [[frame_distance(a, b) for b in second] for a in first]
    total = [[0.0] * m for _ in range(n)]
    for i in range(n):
        for j in range(m):
            before = [total[i - 1][j - 1]] if i and j else []
            before += [total[i][j - 1]] if j else []
            before += [total[i - 1][j]] if i else []
            total[i][j] = local[i][j] + (min(before) if before else 0.0)
    i, j, length = n - 1, m - 1, 1
    while i or j:
        up = total[i - 1][j] if i else math.inf
        left = total[i][j - 1] if j else math.inf
        diagonal = total[i - 1][j - 1] if i and j else math.inf
        if diagonal <= left and diagonal <= up:
            i, j = i - 1, j - 1
        elif left <= up:
            j -= 1
        else:
            i -= 1
        length += 1
    return total[-1][-1] / length


def oracle(features, clips, speaker, context, tie=1e-12):
    """In float64, where equal distances differ by rounding only: less than `tie`."""
    closest = math.inf
    tokens = []
    for one, c in zip(features, clips, strict=True):
        for at, (start, stop, label) in enumerate(c.phones):
            if label == "SIL":
                continue
            inside = [i for i in range(len(one)) if start - 1e-9 <= (i + 0.5) / RATE <= stop + 1e-9]
            neighbours = (
                c.phones[at - 1][2] if at else "",
                c.phones[at + 1][2] if at + 1 < len(c.phones) else "",
            )
            if inside:
                tokens.append((c.speaker, label, neighbours if context == "triphone" else "", [one[i] for i in inside]))
    cells = defaultdict(list)
    for ia, a in enumerate(tokens):
        for b in tokens:
            for ix, x in enumerate(tokens):
                fits = a[1] == x[1] != b[1] and a[0] == b[0] and a[2] == b[2] == x[2] and ia != ix
                if fits and (a[0] == x[0]) == (speaker == "within"):
                    near, far = warped(a[3], x[3]), warped(b[3], x[3])
                    wrong = 0.5 if abs(near - far) < tie else float(far < near)
                    if abs(near - far) >= tie:
                        closest = min(closest, abs(near - far))
                    cells[a[0], a[1], b[1], a[2], x[0]].append(wrong)
    contexts = defaultdict(list)
    for (s, p, q, _, _), errors in cells.items():
        contexts[s, p, q].append(sum(errors) / len(errors))
    speakers = defaultdict(list)
    for (_, p, q), errors in contexts.items():
        speakers[p, q].append(sum(errors) / len(errors))
    pairs = [sum(e) / len(e) for e in speakers.values()]
    triples = sum(map(len, cells.values()))
    return (sum(pairs) / len(pairs) if pairs else None), len(cells), len(pairs), triples, closest


def sample(seed, width):
    rng = random.Random(seed)
    clips, features = [], []
    for number in range(rng.randint(3, 5)):
        tokens = [(rng.choice(["A", "B", "C", "SIL"]), rng.randint(0, 3)) for _ in range(rng.randint(3, 7))]
        clips.append(clip(tokens, rng.choice("st"), str(number)))
        frames = sum(n for _, n in tokens)
        if width:
            features.append(
                np.array([[rng.gauss(0, 1) for _ in range(width)] for _ in range(frames)]).reshape(frames, width)
            )
        else:
            features.append(np.array([rng.randrange(3) for _ in range(frames)], int))
    return features, clips


@given(
    st.integers(0, 10**6),
    st.sampled_from([0, 3]),
    st.sampled_from(["within", "across"]),
    st.sampled_from(["any", "triphone"]),
)
@settings(max_examples=120, deadline=None)
def test_equal_to_the_oracle(seed, width, speaker, context):
    features, clips = sample(seed, width)
    expected, cells, pairs, triples, closest = oracle([one.tolist() for one in features], clips, speaker, context)
    assume(closest > 2e-6)  # which of two is nearer must not hang on the rounding of float32
    task = ABX(speaker=speaker, context=context, group=1000, x_speakers=1000)
    if expected is None:
        with pytest.raises(BadInput, match="no cell"):
            task(features, clips, RATE, fold=same, bootstrap=QUICK)
        return
    got = task(features, clips, RATE, fold=same, bootstrap=QUICK)
    assert got.error.value == pytest.approx(expected, abs=1e-6)
    assert (got.cells, got.pairs, got.triples) == (cells, pairs, triples)


def test_by_hand():
    # Angles over pi: A1-A2 0.25, A1-B 0.5, A2-B 0.25.
    features = [np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])]
    got = ABX(context="any")(features, [clip([("A", 1), ("A", 1), ("B", 1)], "s")], RATE, fold=same, bootstrap=QUICK)
    # X = A2: d(A1, X) = 0.25, d(B, X) = 0.25, a tie. X = A1: d(A2, X) = 0.25, d(B, X) = 0.5, right. B is alone.
    assert got.error.value == pytest.approx(0.25)
    assert (got.cells, got.triples, got.tokens, got.pairs) == (1, 2, 3, 1)
    assert math.isnan(got.error.low), "one speaker leaves no interval"


def test_warping_by_hand():
    # 1 2 2 against 1 1 2: the path of four cells costs nothing, the diagonal of three costs one mismatch.
    local = mismatches(np.array([1, 2, 2]), np.array([1, 1, 2]))
    one = np.array([0]), np.array([3])
    assert warp(local, *one, *one)[0] == 0
    # 1 2 against 3 3: every path costs 1/2 a cell; the diagonal is preferred, so 1 / 2 cells.
    assert (
        warp(
            mismatches(np.array([1, 2]), np.array([3, 3])), np.array([0]), np.array([2]), np.array([0]), np.array([2])
        )[0]
        == 0.5
    )


def test_many_shapes_at_once_equal_one_after_another():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(300, 4)).astype(np.float32)
    first = rng.integers(0, 280, 400), rng.integers(1, 20, 400)
    second = rng.integers(0, 280, 400), rng.integers(1, 20, 400)
    got = warp(angles(frames, frames), *first, *second)
    for p in range(0, 400, 7):
        a = frames[first[0][p] : first[0][p] + first[1][p]].tolist()
        b = frames[second[0][p] : second[0][p] + second[1][p]].tolist()
        assert got[p] == pytest.approx(warped(a, b), abs=1e-5)


def test_frames_without_direction():
    got = angles(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    assert got.tolist() == [[0, 1, 1], [1, 0.5, 1]]


def many(distinct, seed=0):
    rng = np.random.default_rng(seed)
    names = "ABCD"
    features, clips = [], []
    for speaker in "stuv":
        tokens = [(names[rng.integers(4)], int(rng.integers(1, 4))) for _ in range(60)]
        clips.append(clip(tokens, speaker))
        hot = np.concatenate([np.eye(4)[[names.index(label)] * n] for label, n in tokens])
        features.append(hot if distinct else np.ones_like(hot))
    return features, clips


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_perfect_features_never_err_and_constant_ones_are_at_chance(speaker):
    task = ABX(speaker=speaker, context="any")
    for distinct, error in ((True, 0.0), (False, 0.5)):
        features, clips = many(distinct)
        got = task(features, clips, RATE, fold=same, bootstrap=QUICK)
        assert got.error.value == got.error.low == got.error.high == error
        ids = [Stream(one.argmax(1)) for one in features]
        assert task(ids, clips, RATE, fold=same, bootstrap=QUICK).error.value == error


def test_limits_draw_by_seed_and_jobs_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    clips = many(True)[1]
    features = [rng.normal(size=(round(c.seconds * RATE), 5)) for c in clips]
    task = ABX(speaker="across", context="any", group=3, x_speakers=2)
    got = task(features, clips, RATE, fold=same, bootstrap=QUICK)
    assert got.tokens <= 4 * 4 * 3
    assert got.cells == 4 * 4 * 3 * 2
    monkeypatch.setattr("oration.evaluate.abx.JOB", 100)
    assert task(features, clips, RATE, fold=same, bootstrap=QUICK).error == got.error
    other = ABX(speaker="across", context="any", group=3, x_speakers=2, seed=1)(
        features, clips, RATE, fold=same, bootstrap=QUICK
    )
    assert other.error.value != got.error.value


def test_the_last_frame_of_a_token_is_kept():
    # B's last frame alone tells it from A; the rule that drops it would see equal tokens and answer 0.5.
    units = [np.array([0, 0, 0, 0, 0, 1, 0, 1])]
    got = ABX(context="any")(
        units, [clip([("A", 2), ("A", 2), ("B", 2), ("B", 2)], "s")], RATE, fold=same, bootstrap=QUICK
    )
    assert got.error.value == 0


def test_short_tokens_are_counted_as_dropped():
    c = Clip(
        id="x", path=Path("x"), seconds=0.1, speaker="s",
        phones=((0.0, 0.02, "A"), (0.02, 0.04, "A"), (0.04, 0.06, "B"), (0.06, 0.065, "B"), (0.065, 0.1, "SIL")),
    )  # fmt: skip
    got = ABX(context="any")([np.array([0, 0, 1, 1, 1])], [c], RATE, fold=same, bootstrap=QUICK)
    assert (got.dropped, got.tokens, got.error.value) == (1, 3, 0)


def test_differences_pair_speakers_and_results_are_json():
    features, clips = many(True)
    task = ABX(speaker="across", context="any")
    rng = np.random.default_rng(0)
    noisy = [one + rng.normal(0, 0.5, one.shape) for one in features]
    worse, better = (task(f, clips, RATE, fold=same) for f in (noisy, features))
    gap = abx_difference(worse, better)
    assert 0 < gap.low < gap.value == pytest.approx(worse.error.value)
    assert '"table"' not in to_json(worse)
    assert worse.error.n == 4
    within = ABX(context="any")(features, clips, RATE, fold=same, bootstrap=QUICK)
    with pytest.raises(BadInput, match="same task"):
        abx_difference(worse, within)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([np.zeros((4, 2))], "1 feature sequences for 2 clips"),
        ([np.zeros((4, 2)), np.zeros((4, 3))], "differ in the width"),
        ([np.zeros(4), np.zeros(4)], "whole numbers"),
        ([Stream(np.zeros(2, int), onsets=np.array([0, 1]))] * 2, "irregular"),
    ],
)
def test_errors(features, words):
    with pytest.raises(BadInput, match=words):
        ABX()(features, [clip([("A", 2), ("B", 2)], "s")] * 2, RATE, fold=same)


def test_clips_without_a_speaker_are_refused():
    with pytest.raises(BadInput, match="has no speaker"):
        ABX()([np.zeros((4, 2))], [clip([("A", 2), ("B", 2)], None)], RATE, fold=same)
