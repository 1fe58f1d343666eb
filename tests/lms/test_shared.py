"""Two streams of one row with the same symbols: reading, scores and generation still tell them apart."""

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream
from oration.generate import complete, expose, score
from oration.layouts import Chunk, Layout, Line, Weave, vocabs
from oration.lms import LM, Transformer
from oration.tasks import Task

SPECS = {"user.text": Spec(30), "text": Spec(30), "units": Spec(9, 10), "user.units": Spec(9, 10)}
SHARED = {"user.text": "text", "user.units": "units"}
LAYOUTS = {
    "lines": Layout((Line("user.text"), Line("text"), Line("units"))),
    "chunks": Layout((Weave(("user.units", "units"), by=Chunk(0.2)), Line("text"))),
}


def example(layout, seed=0):
    rng = np.random.default_rng(seed)
    return {name: Stream(rng.integers(0, SPECS[name].size, rng.integers(3, 9))) for name in layout.streams}


def model(layout, predict):
    task = Task(name="t", layout=layout, predict=predict)
    torch.manual_seed(0)
    return task, LM(name="lm", tasks=(task,), body=Transformer.tiny(), shared=SHARED).build(SPECS).eval()


def test_the_vocabulary_is_no_larger_for_them():
    layout = LAYOUTS["lines"]
    plain, shared = vocabs((layout,), SPECS)["main"], vocabs((layout,), SPECS, SHARED)["main"]
    assert plain.size - shared.size == 30
    assert shared.ranges["user.text"] == shared.ranges["text"]
    assert shared.name(shared.offset("user.text") + 3) == ("text", 3)
    other = SPECS | {"user.text": Spec(31)}
    with pytest.raises(BadInput, match="only streams of as many symbols can share them"):
        vocabs((layout,), other, SHARED)


@pytest.mark.parametrize("name", LAYOUTS)
def test_reading_undoes_placing(name):
    layout = LAYOUTS[name]
    table = vocabs((layout,), SPECS, SHARED)
    for seed in range(20):
        turns = [example(layout, seed), example(layout, seed + 100)]
        grid = layout.place(turns, SPECS, layout.streams, vocabs=table)
        read = layout.read(grid, SPECS, table)
        assert [{n: list(s.ids) for n, s in turn.items()} for turn in turns] == read


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_scores_are_by_stream(name):
    layout = LAYOUTS[name]
    predict = layout.streams
    task, lm = model(layout, predict)
    ready = example(layout)
    (found,) = score(lm, task, [ready], SPECS)
    for stream in predict:
        assert found[stream].count == len(ready[stream])
        assert np.isfinite(found.items[stream]).all()
        assert found.items[stream].sum() == pytest.approx(found[stream].nats, rel=1e-6)
    hidden = expose(lm, task, [ready], SPECS, ("text",))[0]["text.hidden"]
    assert len(hidden) == len(ready["text"])


@pytest.mark.parametrize("name", LAYOUTS)
def test_generation_keeps_them_apart(name):
    layout = LAYOUTS[name]
    given = layout.streams[0]
    task, lm = model(layout, tuple(s for s in layout.streams if s != given))
    most = dict.fromkeys(task.predict, 4)
    (reply,) = complete(lm, task, [{given: example(layout)[given]}], SPECS, seeds=[1], steps=60, most=most)
    for stream in task.predict:
        assert len(reply.example[stream]) <= 4
        assert all(0 <= i < SPECS[stream].size for i in reply.example[stream].ids)
    assert np.array_equal(reply.example[given].ids, example(layout)[given].ids)
