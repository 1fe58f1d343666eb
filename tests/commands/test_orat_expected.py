"""Files that a language model codes: the same codes come back, other files stay as they were, who lacks it is told."""

import struct
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.audio.io import write
from oration.cli import main
from oration.commands import orat
from oration.core import BadInput, Spec, Stream, Waveform
from oration.core.container import Reader, Writer, read, shares
from oration.core.container import expect as coding
from oration.core.container.rans import TOTAL
from oration.generate import Expectations
from oration.layouts import Layout, Stack
from oration.lms import LM, RecentTransformer, Transformer
from oration.model import SpeechLM
from oration.recipe import find

TINY = find("encodec_24k_lm").tiny()


@cache
def folder():
    """A model with random weights that expects something, saved."""
    import tempfile

    torch.manual_seed(2)
    model = SpeechLM(TINY)
    with torch.no_grad():
        for name, weight in model.part("lm").named_parameters():
            weight.normal_(std=0.3) if weight.ndim > 1 and "norm" not in name else None
    path = Path(tempfile.mkdtemp()) / "model"
    model.save(path)
    return path


@cache
def loaded():
    return SpeechLM.load(folder())


def speech(seconds, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(24_000 * seconds)) / 24_000
    return Waveform((0.2 * np.sin(time * 9) * rng.standard_normal(len(time))).astype(np.float32), 24_000)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write(speech(1.3), tmp_path_factory.mktemp("sound") / "a.wav")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_shares_are_whole_and_add_up_and_no_symbol_is_without(weights):
    probabilities = (np.array(weights) + 1e-12) / (np.array(weights) + 1e-12).sum()
    found = shares(np.stack([probabilities, probabilities[::-1]]))
    assert (found.sum(-1) == TOTAL).all()
    assert (found >= 1).all()
    assert np.abs(found[0] / TOTAL - probabilities).max() <= 1.1 * len(weights) / TOTAL


class Drawn:
    """Expects random things, which depend on the frame before."""

    name, version, streams = "drawn", "1", ("a", "b")

    def __init__(self, sizes=(5, 9)):
        self.sizes = sizes

    def start(self):
        return self

    def next(self, before):
        rng = np.random.default_rng(0 if before is None else int(before.sum()))
        return [shares(rng.dirichlet(np.full(size, 0.3))) for size in self.sizes]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 20), st.integers(0, 99), st.data())
def test_frames_come_back_and_other_bytes_do_not_come_out_even(count, seed, data):
    frames = np.random.default_rng(seed).integers(0, 5, (2, count))
    content = coding.encode(Drawn(), frames)
    assert np.array_equal(coding.decode(Drawn(), content, 2, count), frames)
    assert coding.split(coding.joined(content, b"rest")) == (content, b"rest")
    if content:
        at = data.draw(st.integers(0, len(content) - 1))
        wrong = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
        found = coding.decode(Drawn(), wrong, 2, count)
        assert found is None or not np.array_equal(found, frames)
        assert coding.decode(Drawn(), content[:-2], 2, count) is None


def test_bits_are_what_the_shares_promise():
    frames = np.random.default_rng(0).integers(0, 5, (2, 300))
    nats, before, drawn = 0.0, None, Drawn()
    for column in frames.T:
        for symbol, share in zip(column, drawn.next(before), strict=True):
            nats -= np.log2(share[symbol] / TOTAL)
        before = column
    assert nats <= 8 * len(coding.encode(drawn, frames)) <= nats * 1.002 + 48


def test_encode_and_decode_give_the_codes_and_the_sound_of_the_model(recording, tmp_path, capsys):
    out, again = tmp_path / "a.orat", tmp_path / "a.wav"
    main(["encode", str(recording), "-o", str(out), "--model", str(folder())])
    main(["encode", str(recording), "-o", str(tmp_path / "b.orat"), "--model", str(folder())])
    assert out.read_bytes() == (tmp_path / "b.orat").read_bytes()
    (example,) = loaded().encode([speech_of(recording)])
    expecter = orat.expecter_of(loaded())
    with Reader(out, expecter) as file:
        found = file.read().example
        assert file.about.expected.streams == TINY.tokenizers[0].streams
        assert file.about.block == 10
        assert not file.check()
    assert all(np.array_equal(found[name].ids, example[name].ids) for name in example)
    main(["decode", str(out), "-o", str(again), "--model", str(folder())])
    main(["encode", str(recording), "-o", str(tmp_path / "p.orat"), "--model", str(folder()), "--no-entropy"])
    main(["decode", str(tmp_path / "p.orat"), "-o", str(tmp_path / "p.wav"), "--model", str(folder())])
    assert again.read_bytes() == (tmp_path / "p.wav").read_bytes()
    capsys.readouterr()
    main(["show", str(out)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "the language model saves" in shown
    assert "without it the symbols cannot be read" in shown


def speech_of(path):
    from oration.audio.io import read as read_sound

    return read_sound(path, rate=24_000)


def test_who_has_no_model_or_another_is_told_in_one_sentence(recording, tmp_path, capsys):
    out = tmp_path / "a.orat"
    main(["encode", str(recording), "-o", str(out), "--model", str(folder())])
    with pytest.raises(BadInput, match=r"a.orat' is coded with what the language model 'lm' .* only that model"):
        read(out)
    with Reader(out) as file:
        assert file.check() == ()
        with pytest.raises(BadInput, match="is of version other; decode it with the model that made it"):
            file.expect(Expectations(loaded().part("lm"), TINY.lms[0].tasks[0], "other"))
    with pytest.raises(SystemExit):
        main(["decode", str(out), "-o", str(tmp_path / "x.wav")])
    assert "decode it with the model that made it" in capsys.readouterr().err


def test_damage_costs_a_block_and_other_machines_are_told(tmp_path):
    specs = {"a": Spec(5, 10), "b": Spec(9, 10), "f": Spec(3, 5)}
    rng = np.random.default_rng(1)
    example = {name: Stream(rng.integers(0, min(5, spec.size), 4 * int(spec.rate))) for name, spec in specs.items()}
    path = tmp_path / "a.orat"
    with Writer(path, specs, recipe="x", rate=100, expecter=Drawn()) as out:
        out.push(example, samples=400)
    with Reader(path, Drawn()) as file:
        found = file.read().example
        assert all(np.array_equal(found[name].ids, example[name].ids) for name in specs)
        part = file.read(1.0, 2.5)
        assert np.array_equal(part.example["b"].ids, example["b"].ids[10:25])
        place = file._found.blocks[2]
    assert struct.unpack_from("<H", path.read_bytes(), 8) == (2,)
    content = bytearray(path.read_bytes())
    content[place.at + 8] ^= 4
    (tmp_path / "b.orat").write_bytes(content)
    with Reader(tmp_path / "b.orat") as file:
        assert "1 block of it cannot be read" in file.check()[0]
    with Reader(tmp_path / "b.orat", Drawn()) as file:
        found = file.read().example
        assert (found["a"].ids[20:30] == -1).all()
        assert np.array_equal(found["a"].ids[30:], example["a"].ids[30:])

    class Elsewhere(Drawn):
        def next(self, before):
            return [share[::-1] for share in super().next(before)]

    with Reader(path, Elsewhere()) as file:
        assert any("on another machine" in clause for clause in file.read().damage)


def test_files_without_a_model_are_of_version_1_and_streams_of_unequal_length_are_packed(tmp_path):
    specs = {"a": Spec(5, 10), "b": Spec(9, 10)}
    for name, example in (
        ("missing", {"a": Stream(np.zeros(9, int))}),
        ("unequal", {"a": Stream(np.zeros(9, int)), "b": Stream(np.zeros(8, int))}),
    ):
        with Writer(tmp_path / name, specs, recipe="x", rate=100, expecter=Drawn()) as out:
            out.push(example)
        assert struct.unpack_from("<H", (tmp_path / name).read_bytes(), 8) == (1,)
        assert {n: len(s) for n, s in read(tmp_path / name).example.items()} == {n: len(s) for n, s in example.items()}


@torch.no_grad()
def test_batch_and_steps_expect_the_same_whole_numbers():
    """In float64: all frames at once, as no decoder can, give the shares that going frame by frame gives."""
    from oration.core import collate
    from oration.generate.expect import quantized

    model, task = loaded().part("lm"), TINY.lms[0].tasks[0]
    expecter = Expectations(model, task)
    ids = np.random.default_rng(0).integers(0, 16, (len(task.predict), 90))
    example = {name: Stream(row) for name, row in zip(task.predict, ids, strict=True)}
    grid = task.place([example], loaded().specs)
    logits = expecter.model(collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()]))
    frames, before = expecter.start(), None
    for at, column in enumerate(ids.T):
        found = frames.next(before)
        for row, share, (a, b) in zip(model.rows, found, expecter.ranges, strict=True):
            assert np.array_equal(share, quantized(logits[row][0, at, a:b]))
        before = column


def test_a_model_that_cannot_code_frames_is_refused():
    specs = TINY.tokenizers[0].specs()
    levels = TINY.lms[0].tasks[0].predict
    late = replace(TINY.lms[0].tasks[0], layout=Layout((Stack(levels, delays=tuple(range(len(levels)))),)))
    lm = LM(name="late", tasks=(late,), body=Transformer.tiny()).build(specs)
    with pytest.raises(BadInput, match=r"'late' cannot code frames by its task 'continue'.*without delays"):
        Expectations(lm, late)
    with pytest.raises(BadInput, match=r"is coded by 'x', but its language models are \['lm'\]"):
        orat.expecter_of(SpeechLM(replace(TINY, coder="x")))
    assert orat.expecter_of(SpeechLM(replace(TINY, coder=None))) is None
    with pytest.raises(BadInput, match="even dim"):
        RecentTransformer(dim=30, heads=4)
