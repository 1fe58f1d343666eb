"""Where units begin and how long they last: nothing is lost, and frames stay frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput, Operation, Spec, Stream
from oration.streams import Edges

RNG = np.random.default_rng(0)
SPECS = {"units": Spec(5, 50), "f0": Spec(3), "mel": Spec(1, 50, 4)}


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 9))
def test_edges_are_where_units_change_and_undo_gives_them_back(ids, longest):
    operation = Edges(longest=longest)
    made = operation({"units": Stream(np.array(ids, int))}, SPECS, RNG)
    edges, lasts = made["units.edges"].ids, made["units.lasts"].ids
    for name in ("units.edges", "units.lasts"):
        made[name].verify(name, operation.specs(SPECS)[name])
        assert len(made[name]) == len(ids)
    for at, unit in enumerate(ids):
        begins = at == 0 or ids[at - 1] != unit
        ends = next((later for later in range(at, len(ids)) if ids[later] != unit), len(ids))
        assert edges[at] == (unit + 1 if begins else 0)
        assert lasts[at] == (min(ends - at, longest) if begins else 0)
    assert operation.undo({"units.edges": made["units.edges"]}, SPECS)["units"].ids.tolist() == ids


def test_undo_of_what_a_model_may_say():
    def said(edges):
        return Edges().undo({"units.edges": Stream(np.array(edges, int))}, SPECS)["units"].ids.tolist()

    assert said([0, 0, 3, 0, 3, 1]) == [2, 2, 2, 2, 2, 0]
    assert said([0, 0]) == [0, 0]
    assert said([]) == []
    assert Edges().undo({}, SPECS) == {}


def test_it_is_an_operation_and_says_what_has_no_edges():
    assert isinstance(Edges(), Operation)
    for name in ("f0", "mel"):
        with pytest.raises(BadInput, match=f"{name!r} has rate"):
            Edges(stream=name).specs(SPECS)
    with pytest.raises(BadInput, match="at least one frame"):
        Edges(longest=0)
