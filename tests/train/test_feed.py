"""Feeds: a batch is a pure function of (seed, step), and every stream of a crop covers the same span of time."""

from collections import Counter

import numpy as np
import pytest
import torch

from oration.core import PREDICT, TICKS, BadInput, Spec, Stream, Waveform
from oration.data.manifest import Clip
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Transformer
from oration.streams import Dedup, Frames
from oration.tasks import Task
from oration.train.feed import Crops, Mix, Packed

RATE = 16_000


class Ramp:
    """Clips whose sample number t has the value t / 1e6, with streams that count frames: misalignment would show."""

    rate = RATE
    specs = {
        "units": Spec(2000, 50),
        "f0": Spec(4000, 100),
        "voice": Spec(9),
        "mel": Spec(1, 100, dim=2),
        "phones": Spec(40),
    }

    def __init__(self, seconds=(1.0, 2.5, 0.3, 4.0)):
        self.clips = [
            Clip(id=str(i), path=f"{i}.wav", seconds=s, corpus="ab"[i % 2], speaker=str(i))
            for i, s in enumerate(seconds)
        ]

    def wave(self, index):
        return Waveform(np.arange(round(self.clips[index].seconds * RATE)) / 1e6, RATE)

    def example(self, index):
        seconds = self.clips[index].seconds
        frames = np.arange(round(seconds * 100))
        return {
            "units": Stream(np.arange(round(seconds * 50))),
            "f0": Stream(frames),
            "voice": Stream(np.array([index])),
            "mel": Stream.dense(np.stack([frames, frames], 1)),
            "phones": Stream(np.arange(3), np.array([0, TICKS // 10, TICKS // 5])),
        }


def test_every_stream_of_a_crop_covers_the_same_span():
    feed = Crops(streams=("wave", "units", "f0", "voice", "mel"), seconds=0.64, batch=16)
    batches = feed.batches(Ramp(), Mix(), seed=3)
    seen = set()
    for step in range(20):
        batch = batches(step)
        assert batch["wave"].shape == (16, 10240)
        assert batch["units"].shape == (16, 32)
        assert batch["f0"].shape == (16, 64)
        assert batch["mel"].shape == (16, 64, 2)
        for row in range(16):
            first = round(float(batch["wave"][row, 0]) * 1e6)
            assert first == batch["units"][row, 0] * 320 == batch["f0"][row, 0] * 160
            assert batch["mel"][row, 0, 0] == batch["f0"][row, 0]
            clip = int(batch["voice"][row])
            valid = min(0.64, Ramp().clips[clip].seconds - first / RATE)
            assert float(batch["seconds"][row]) == pytest.approx(valid, abs=1e-6)
            assert int((batch["units"][row] >= 0).sum()) == round(valid * 50)
            seen.add(clip)
    assert seen == {0, 1, 2, 3}


def test_a_batch_depends_on_seed_and_step_alone():
    feed = Crops(streams=("wave", "units"), seconds=0.5, batch=4)
    a, b, c = feed.batches(Ramp(), Mix(), 1), feed.batches(Ramp(), Mix(), 1), feed.batches(Ramp(), Mix(), 2)
    a(0), a(1)
    assert all(torch.equal(a(7)[k], b(7)[k]) for k in a(7))
    assert not torch.equal(a(7)["wave"], a(8)["wave"])
    assert not torch.equal(a(7)["wave"], c(7)["wave"])


def test_operations_run_before_cutting():
    feed = Crops(streams=("phones.frames",), seconds=0.2, batch=8, operations=(Frames(stream="phones", rate=50),))
    assert feed.specs(Ramp())["phones.frames"] == Spec(40, 50)
    frames = feed.batches(Ramp((0.2,)), Mix(), 0)(0)["phones.frames"]
    assert frames[0].tolist() == [0] * 5 + [1] * 5


def test_a_mix_gives_each_corpus_its_share_by_duration():
    clips = Ramp().clips
    assert Mix().weights(clips) == pytest.approx(np.array([1.0, 2.5, 0.3, 4.0]) / 7.8)
    weights = Mix({"a": 3.0, "b/1": 1.0}).weights(clips)
    assert weights == pytest.approx([0.75 * 1 / 1.3, 0.25, 0.75 * 0.3 / 1.3, 0.0])
    with pytest.raises(BadInput, match=r"no clip of 'c', which the recipe mixes in at 1.0; it has \['a', 'b'\]"):
        Mix({"c": 1.0}).weights(clips)


def test_asking_for_an_unknown_stream_says_what_there_is():
    with pytest.raises(BadInput, match="nothing gives the stream 'text'.*known: wave, units"):
        Crops(streams=("text",), seconds=1.0, batch=1).batches(Ramp(), Mix(), 0)


def lm():
    task = Task(name="continue", layout=Layout((Line("units.runs"),)), predict=("units.runs",), operations=(Dedup(),))
    return LM(name="ulm", tasks=(task,), body=Transformer(layers=1, dim=16, heads=2, ffn=32)).build(Ramp.specs)


def test_packed_lines_hold_every_clip_once_an_epoch():
    model, source = lm(), Ramp()
    batches = Packed(length=40, batch=2).batches(source, Mix(), 0, model)
    steps = batches.__self__.steps_per_epoch
    tokens = []
    for step in range(steps):
        batch = batches(step)
        assert batch.tokens.shape == (2, 1, 40)
        real = batch.segment >= 0
        assert (batch.role[:, 0][real] == PREDICT).all()
        assert (batch.role[:, 0][~real] == 0).all()
        tokens += batch.tokens[:, 0][real].tolist()
    wanted = [u for c in source.clips for u in [*range(round(c.seconds * 50)), model.vocabs["main"].offset("end")]]
    # What does not fill a whole batch is left for an epoch that draws it in another order.
    assert len(wanted) - 80 < len(tokens) <= len(wanted)
    assert not Counter(tokens) - Counter(wanted)


def test_a_packed_batch_depends_on_seed_and_step_alone():
    feed = Packed(length=40, batch=2)
    a, b = feed.batches(Ramp(), Mix(), 5, lm()), feed.batches(Ramp(), Mix({"a": 1.0, "b": 1.0}), 5, lm())
    steps = [0, 9, 3, 30, 9]
    assert [a(s).tokens.sum() for s in steps] == [feed.batches(Ramp(), Mix(), 5, lm())(s).tokens.sum() for s in steps]
    assert not torch.equal(a(0).tokens, a(a.__self__.steps_per_epoch).tokens)
    assert b(0).tokens.shape == (2, 1, 40)


def test_a_delay_longer_than_every_clip_is_said_before_training():
    task = Task(name="late", layout=Layout((Stack(("units", "f0"), (0, 500)),)), predict=("units",))
    lm = LM(name="lm", tasks=(task,), body=Transformer.tiny()).build(Ramp.specs)
    with pytest.raises(BadInput, match="puts 'f0' 10 s late, but the longest clip lasts 4 s"):
        Packed(length=64).batches(Ramp(), Mix(), seed=0, part=lm)
