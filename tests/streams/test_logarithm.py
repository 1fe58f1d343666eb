import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream
from oration.streams import Logarithm

SPECS = {"d": Spec(50)}


@given(st.lists(st.integers(0, 49)))
def test_counts_come_back(ids):
    example = Logarithm("d")({"d": Stream(np.array(ids, np.int64))}, SPECS, np.random.default_rng(0))
    assert example["d.log"].values.shape == (len(ids), 1)
    assert Logarithm("d").undo({"d.log": example["d.log"]}, SPECS)["d"].ids.tolist() == ids


def test_what_is_said_wildly_is_brought_into_range():
    said = Stream.dense(np.array([[-3.0], [99.0], [1.4]], np.float32))
    assert Logarithm("d").undo({"d.log": said}, SPECS)["d"].ids.tolist() == [0, 49, 3]


def test_vectors_have_no_logarithm():
    with pytest.raises(BadInput, match="discrete"):
        Logarithm("d").specs({"d": Spec(1, 50, 3)})
