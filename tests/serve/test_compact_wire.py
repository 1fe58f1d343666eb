"""Our protocol as bytes: whatever is written is read back; whatever comes is read or refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput
from oration.serve import wire

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)


@given(U64, U32, U64, st.binary(max_size=64))
def test_what_is_written_is_read(a, b, c, sound):
    assert wire.parse(wire.audio(a, sound)).at == a
    said = wire.parse(wire.sound(a, b, c, sound))
    assert (said.at, said.epoch, said.heard, bytes(said.sound)) == (a, b, c, sound)
    said = wire.parse(wire.played(a, b))
    assert (said.at, said.waiting) == (a, b)
    said = wire.parse(wire.flush(b, a))
    assert (said.epoch, said.at) == (b, a)
    assert wire.parse(wire.position(wire.GOT, a)).at == a


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_documents_are_json(body):
    assert wire.parse(wire.document(wire.HELLO, body)).body == body


@given(st.binary(max_size=80))
def test_anything_is_read_or_refused(data):
    with contextlib.suppress(BadInput):
        assert wire.parse(data).kind == data[0]


@pytest.mark.parametrize("data", ["text", b"", b"\x01[1]", b"\x01{", b"\x03\0", b"\x7f", b"\x01" + b"[" * 100_000])
def test_what_is_refused(data):
    with pytest.raises(BadInput):
        wire.parse(data)


def test_the_documented_example():
    assert wire.sound(1920, 1, 3840, b"\x01\x00\xff\x7f").hex() == "82800700000000000001000000000f0000000000000100ff7f"
