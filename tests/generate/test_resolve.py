import pytest

from oration.core import BadInput
from oration.generate import Step, resolve

SEMANTIC = Step(("wave",), ("semantic",), "semantic tokenizer")
CODEC = Step(("wave",), ("codec",), "codec encoder")
LM = Step(("semantic",), ("reply.semantic",), "semantic LM")
COARSE = Step(("reply.semantic",), ("reply.codec.0",), "coarse LM")
FINE = Step(("reply.codec.0",), ("reply.codec.1",), "fine LM")
DECODER = Step(("reply.codec.0", "reply.codec.1"), ("reply.wave",), "codec decoder")


def names(steps):
    return [step.part for step in steps]


def test_a_cascade_is_put_in_order_and_holds_only_what_is_needed():
    parts = [DECODER, CODEC, FINE, COARSE, LM, SEMANTIC]
    order = resolve(parts, {"wave"}, "reply.wave")
    assert names(order) == ["semantic tokenizer", "semantic LM", "coarse LM", "fine LM", "codec decoder"]
    assert names(resolve(parts, {"reply.codec.0"}, "reply.wave")) == ["fine LM", "codec decoder"]
    assert resolve(parts, {"reply.wave"}, "reply.wave") == []


def test_of_two_givers_the_one_that_can_run_is_taken():
    from_text = Step(("text",), ("semantic",), "text to semantic")
    assert names(resolve([from_text, SEMANTIC], {"wave"}, "semantic")) == ["semantic tokenizer"]
    assert names(resolve([from_text, SEMANTIC], {"wave", "text"}, "semantic")) == ["text to semantic"]


def test_what_nothing_gives_is_named_with_what_needs_it():
    speech = Step(("user.wave",), ("user.speech",), "encoder")
    with pytest.raises(
        BadInput, match=r"nothing gives 'user.wave', needed by 'user.speech'; known streams: \['text', 'user.speech'\]"
    ):
        resolve([speech], {"text"}, "user.speech")


def test_a_circle_is_no_way():
    with pytest.raises(BadInput, match="nothing gives 'a', needed by 'b'"):
        resolve([Step(("a",), ("b",)), Step(("b",), ("a",))], set(), "a")
