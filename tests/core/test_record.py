"""Recipes as data: nothing is lost, nothing foreign is loaded, and settings are typed."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import pytest

from oration.core import BadInput, Spec, assign, dumps, from_record, to_record
from oration.train.feed import Crops, Mix
from oration.train.optim import AdamW, Cosine, Steps
from oration.train.stage import Train


@dataclass(frozen=True)
class Thing:
    count: int = 1
    share: float = 0.5
    label: str | None = None
    on: bool = False
    kind: Literal["a", "b"] = "a"
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[str, ...] = ()
    inner: tuple[Spec, ...] = (Spec(3, 50),)


STAGE = Train(
    part="units",
    objective=Steps(3),
    feed=Crops(streams=("wave",), seconds=1.0, batch=2),
    budget=Steps(7),
    data=Mix({"x/y": 0.5}),
)


@pytest.mark.parametrize("value", [Spec(5, Fraction(44100, 2048)), AdamW(lr=1e-4), Cosine(), STAGE])
def test_a_record_comes_back_equal(value):
    assert from_record(to_record(value)) == value


def test_only_what_a_recipe_may_hold_is_recorded():
    with pytest.raises(BadInput, match="cannot stand in a recipe"):
        dumps(Thing(inner=(object(),)))


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"class": "os:system", "command": "true"}, "inside oration; a checkpoint may not load code"),
        ({"class": "subprocess:Popen"}, "inside oration"),
        ({"class": "oration.core.record:importlib.import_module"}, "inside oration"),
        ({"class": "oration.core.record:importlib"}, "expected a frozen dataclass"),
        ({"class": "oration.core.record:from_record", "record": []}, "expected a frozen dataclass"),
        ({"class": "oration.core.waveform:np"}, "expected a frozen dataclass"),
        ({"class": "oration.nowhere:Thing"}, "does not have"),
        ({"class": "oration.core.spec:_Hidden"}, "inside oration"),
        ({"class": "oration.core:Spec", "size": 3}, "expected a frozen dataclass"),
        ({"class": "oration.core.spec:Spec", "colour": 3}, "does not fit its record"),
        ({"size": 3}, "has no class"),
    ],
)
def test_a_record_can_run_nothing(record, says):
    with pytest.raises(BadInput, match=says):
        from_record(record)


def test_users_may_name_their_own_packages():
    record = to_record(Thing())
    with pytest.raises(BadInput, match="inside oration"):
        from_record(record)
    assert from_record(record, packages=("oration", Thing.__module__.split(".")[0])) == Thing()


@pytest.mark.parametrize(
    ("path", "text", "field", "value"),
    [
        ("count", "3", "count", 3),
        ("share", "1e-3", "share", 0.001),
        ("label", "none", "label", None),
        ("label", "x", "label", "x"),
        ("on", "true", "on", True),
        ("kind", "b", "kind", "b"),
        ("pair", "4,5", "pair", (4, 5.0)),
        ("many", "a, b", "many", ("a", "b")),
        ("inner.0.size", "9", "inner", (Spec(9, 50),)),
        ("inner.0.rate", "none", "inner", (Spec(3),)),
    ],
)
def test_settings_are_typed_by_the_dataclass(path, text, field, value):
    assert getattr(assign(Thing(), path, text), field) == value


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("count", "3.5", "expected int"),
        ("on", "yes", "expected bool"),
        ("kind", "c", "expected"),
        ("pair", "1", "expected"),
        ("colour", "1", "has no field 'colour'; it has count, share"),
        ("inner.4.size", "1", "no place in a tuple of 1"),
        ("count.x", "1", "which has no fields"),
    ],
)
def test_a_wrong_setting_says_what_was_expected(path, text, says):
    with pytest.raises(BadInput, match=says):
        assign(Thing(), path, text)
