"""Pieces of units: lossless, shorter, with their onsets, learned through the objective."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream
from oration.objectives.unit_bpe import UnitBpe
from oration.tokenizers.unit_pieces import UnitPieces

WORDS = ([3, 1, 4], [1, 5, 9, 2], [6, 5], [3, 5, 8, 9])


def sentences(seed: int, n: int = 20) -> list[np.ndarray]:
    """Units that come in words, each of them held for a few frames."""
    rng = np.random.default_rng(seed)
    chosen = [np.concatenate([WORDS[i] for i in rng.integers(0, len(WORDS), 12)]) for _ in range(n)]
    return [np.repeat(units, rng.integers(1, 4, len(units))) for units in chosen]


def learned(of: str = "units", **numbers):
    part = UnitPieces(**{"of": of, "units": 10, "size": 60} | numbers).build()
    whole = sentences(0)
    batch = {
        "units": torch.from_numpy(np.concatenate(whole)),
        "units/lengths": torch.tensor([len(units) for units in whole]),
    }
    objective = UnitBpe().build(part, {"units": Spec(10, 50)})
    ((_, loss),) = objective.losses(part, batch, 0.0)
    return part, loss


PART = learned()[0]
RUNS, LOSS = learned("units.runs")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=300), st.sampled_from([PART, RUNS]))
def test_nothing_is_lost_and_each_piece_begins_where_its_first_unit_does(ids, part):
    units = Stream(np.array(ids, np.int64))
    (pieces,) = part.derive([{"units": units}])
    (back,) = part.restore([pieces])
    made = part.units({"units": units})
    assert np.array_equal(back[part.numbers.of].ids, made.ids)
    pieces["pieces"].verify("pieces", part.specs()["pieces"])
    first = 0
    for piece, onset in zip(pieces["pieces"].ids, pieces["pieces"].onsets, strict=True):
        assert onset == made.onsets[first]
        first += len(part.code.pieces[piece])
    assert first == len(made)


def test_runs_are_merged_or_taken_as_they_are():
    frames = Stream(np.array([3, 3, 1, 4, 4, 4, 4, 3]))
    onsets = Spec(1, 50).onsets(8)
    made = RUNS.units({"units": frames})
    assert (made.ids.tolist(), made.onsets.tolist()) == ([3, 1, 4, 3], onsets[[0, 2, 3, 7]].tolist())
    runs = Stream(np.array([3, 1, 4, 4]), onsets[:4] + 5)
    made = RUNS.units({"units": frames, "units.runs": runs})  # as `Dedup` gave them, a long run in two
    assert (made.ids.tolist(), made.onsets.tolist()) == ([3, 1, 4, 4], (onsets[:4] + 5).tolist())
    assert RUNS.units({"units.runs": Stream(runs.ids)}).onsets is None
    assert RUNS.restores == ("units.runs",)


def test_pieces_are_fewer_and_words_are_found():
    assert float(LOSS.total) < 0.5
    words = {tuple(word) for word in WORDS}
    assert words <= {tuple(piece.tolist()) for piece in RUNS.code.pieces}
    assert LOSS.parts["symbols"] == len(RUNS.code.pieces) <= 60
    (long,) = (learned("units.runs", longest=2)[0],)
    assert max(map(len, long.code.pieces)) == 2


def test_without_training_pieces_are_units():
    part = UnitPieces(units=10, size=60).build()
    (found,) = part.derive([{"units": Stream(np.array([4, 4, 9]))}])
    assert found["pieces"].ids.tolist() == [4, 4, 9]


def test_symbols_that_were_never_learned_say_nothing():
    (back,) = PART.restore([{"pieces": Stream(np.array([7, 59, 8]))}])
    learned_symbols = len(PART.code.pieces)
    assert back["units"].ids.tolist()[:1] == [7]
    part = UnitPieces(units=10, size=60).build()
    assert part.restore([{"pieces": Stream(np.array([7, 59, 8]))}])[0]["units"].ids.tolist() == [7, 8]
    assert learned_symbols <= 60


def test_the_code_is_part_of_the_weights():
    twin = UnitPieces(of="units.runs", units=10, size=60).build()
    twin.load_state_dict(RUNS.state_dict())
    example = {"units": Stream(sentences(5, 1)[0])}
    assert np.array_equal(twin.derive([example])[0]["pieces"].ids, RUNS.derive([example])[0]["pieces"].ids)
    before = {name: value.clone() for name, value in RUNS.state_dict().items()}
    again, _ = learned("units.runs")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in before.items())


def test_tiny_keeps_the_streams():
    config = UnitPieces(of="units.runs", units=1000, size=8000, rate=25.0).tiny()
    assert (config.of, config.rate, config.units) == ("units.runs", 25.0, 20)
    assert config.needs == ("units",)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: UnitPieces(units=100, size=50), "units <= size"),
        (lambda: UnitPieces(units=70_000, size=80_000), "65000"),
        (lambda: UnitPieces(longest=0), "longest >= 1"),
        (lambda: PART.derive([{"f0": Stream(np.array([1]))}]), "made of 'units'.*'f0'"),
        (lambda: PART.derive([{"units": Stream(np.array([10]))}]), "holds the id 10"),
        (lambda: PART.restore([{"pieces": Stream(np.array([60]))}]), "holds the id 60"),
        (lambda: PART.restore([{}]), "restored from 'pieces'"),
        (lambda: UnitBpe().build(torch.nn.Linear(1, 1), {}), "Linear"),
        (lambda: UnitBpe().build(PART, {"units": Spec(512, 50)}), "512 symbols"),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()
