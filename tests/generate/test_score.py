import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Dense, Grid, Spec, Stream
from oration.generate import score
from oration.generate.prefix import LEAST, alike, cut, families, groups
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Regress, Transformer
from oration.lms.lm import LanguageModel
from oration.tasks import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "layouts"))
from published import PUBLISHED, draw, specs_of


@cache
def case(layout, head=None, window=None):
    blocks, predict = PUBLISHED[layout]
    task, specs = Task(name="test", layout=blocks, predict=predict), specs_of(blocks)
    torch.manual_seed(0)
    head = {"head": head.tiny()} if head else {}
    body = replace(Transformer.tiny(), window=window)
    return LM(name="lm", tasks=(task,), body=body, context=400, **head).build(specs).eval(), task, specs


def units(model="gslm, twist"):
    model, task, specs = case(model)
    rng = np.random.default_rng(0)
    story = rng.integers(0, 20, 60)
    endings = [np.concatenate((story, rng.integers(0, 20, n))) for n in (12, 15, 9)]
    return (
        model,
        task,
        specs,
        [{"units": Stream(ids)} for ids in (*endings, story[:30], story, rng.integers(0, 20, 25))],
    )


def equal(one, other):
    assert one.parts.keys() == other.parts.keys()
    for name, part in one.parts.items():
        assert part.count == other[name].count
        assert part.nats == pytest.approx(other[name].nats, rel=1e-5, abs=1e-5)
    for name, items in one.items.items():
        np.testing.assert_allclose(items, other.items[name], atol=1e-5)


def test_each_item_has_its_own_number():
    model, task, specs = case("speechgpt")
    example = draw(task.layout.streams, 9, np.random.default_rng(0))
    known = {"user.text": 1, "units": 4}
    (whole,), (rest,) = (score(model, task, [example], specs, k) for k in (None, [known]))
    for name in task.predict:
        assert whole.items[name].shape == (len(example[name]),)
        assert whole.items[name].sum() == pytest.approx(whole[name].nats, rel=1e-6)
        given = known.get(name, 0)
        assert np.isnan(rest.items[name][:given]).all()
        np.testing.assert_allclose(rest.items[name][given:], whole.items[name][given:], atol=1e-6)
        assert rest[name].mean == pytest.approx(np.nanmean(whole.items[name][given:]), rel=1e-6)
    assert "user.units" not in whole.items  # nor are the symbols that the layout itself says, which are text


def test_a_window_is_what_follows_the_prompt():
    model, task, specs, examples = units()
    known = [{"units": min(20, len(e["units"]))} for e in examples]
    full = score(model, task, examples, specs, known)
    for how, count in (({"items": 10}, 10), ({"seconds": 0.4}, 10), ({"seconds": 0.401}, 11)):  # 25 units a second
        for part, whole, example in zip(score(model, task, examples, specs, known, **how), full, examples, strict=True):
            n = min(count, len(example["units"]) - 20)
            assert part["units"].count == n
            assert part["end"].count == (n < count)
            np.testing.assert_allclose(part.items["units"][20 : 20 + n], whole.items["units"][20 : 20 + n], atol=1e-5)
            assert np.isnan(part.items["units"][20 + n :]).all()


def test_a_window_counts_time_by_onsets_where_a_stream_has_no_rate():
    specs = {"runs": Spec(9), "units": Spec(9, 50)}
    task = Task(name="t", layout=Layout((Line("runs"),)), predict=("runs",))
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), context=100).build(specs).eval()
    runs = Stream(np.arange(8), onsets=np.array([0, 1, 3, 4, 7, 9, 10, 30]) * TICKS // 10)
    (found,) = score(model, task, [{"runs": runs}], specs, [{"runs": 2}], seconds=0.7)  # from 0.3 s on
    assert np.flatnonzero(~np.isnan(found.items["runs"])).tolist() == [2, 3, 4, 5]
    task = Task(name="t", layout=Layout((Line("runs"),)), predict=("runs",))
    with pytest.raises(BadInput, match=r"seconds=1.0 says nothing to task 't': none of \('runs',\) has times"):
        score(model, task, [{"runs": Stream(np.arange(3))}], specs, seconds=1.0)


@pytest.mark.parametrize("layout", ["gslm, twist", "pgslm", "moshi", "spiritlm", "valle ar", "mini-omni"])
@pytest.mark.parametrize("window", [None, 7])
def test_what_examples_share_is_computed_once_and_changes_nothing(layout, window):
    model, task, specs = case(layout, window=window)
    rng = np.random.default_rng(3)
    story = draw(task.layout.streams, 40, rng)
    endings = []
    for frames in (8, 3, 12):
        more = draw(task.layout.streams, frames, rng)
        endings.append({n: _joined(story[n], more[n]) if n in task.predict else story[n] for n in story})
    examples = [*endings, draw(task.layout.streams, 9, rng), story]
    shared = families([task.place([e], specs, vocabs=model.vocabs) for e in examples])
    assert len(shared) < len(examples)
    alone = [score(model, task, [e], specs, share=False)[0] for e in examples]
    for batch in (1, 4, 16):
        for one, other in zip(score(model, task, examples, specs, batch=batch), alone, strict=True):
            equal(one, other)


def _joined(one, other):
    onsets = None if one.onsets is None else np.concatenate((one.onsets, other.onsets + 10 * TICKS))
    values = None if one.values is None else np.concatenate((one.values, other.values))
    return Stream(np.concatenate((one.ids, other.ids)), onsets, values)


def test_beginnings_are_shared_within_the_context():
    model, task, specs, examples = units()
    tight = LM(name="lm", tasks=(task,), body=Transformer.tiny(), context=76).build(specs).eval()
    tight.load_state_dict(model.state_dict())
    for one, other in zip(score(tight, task, examples, specs), score(model, task, examples, specs), strict=True):
        equal(one, other)
    grids = [task.place([e], specs, vocabs=model.vocabs) for e in examples]
    made = groups(grids, 16, 76)
    assert sorted(i for g in made for f in g.families for i in f.members) == [*range(len(examples))]
    alone = groups(grids, 2, 0)
    assert all(not f.shared and len(f.members) == 1 for g in alone for f in g.families)
    assert all(len(g.families) <= 2 for g in alone)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=6), st.integers(0, 3))
def test_families_begin_alike_and_nobody_is_lost(tails, dense):
    begin = np.tile([1, 2, 0], 8)[:20]
    grids = []
    for i, tail in enumerate(tails):
        tokens = np.concatenate((begin, tail))[None]
        vectors = {"v": Dense(0, np.array([3]), np.full((1, 2), i % 2 if dense else 0.0, np.float32))}
        grids.append(Grid(tokens, np.zeros(tokens.shape, np.int8), ("main",), vectors))
    found = families(grids)
    assert sorted(i for f in found for i in f.members) == [*range(len(grids))]
    for family in found:
        assert (family.shared >= LEAST) == (len(family.members) > 1)
        for i in family.members[1:]:
            assert alike(grids[family.members[0]], grids[i]) >= family.shared
            assert family.shared < grids[i].steps
    if dense and len(grids) > 1:
        assert alike(grids[0], grids[1]) == 3
        assert cut(grids[0], 3).dense == {}
        assert cut(grids[0], 9, 2).dense["v"].steps.tolist() == [1]


def test_vectors_have_a_density():
    model, task, specs = case("spectron", Regress())
    example = draw(task.layout.streams, 9, np.random.default_rng(0))
    (found,) = score(model, task, [example], specs)
    grid = task.place([example], specs, vocabs=model.vocabs)
    from oration.core import collate

    batch = collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()])
    with torch.no_grad():
        hidden = model.hidden(batch)[0]
        logp = model.head(hidden, batch.tokens[0].T)["main"].log_softmax(-1)
        dense = grid.dense["mel"]
        want = model.head.vector_nats(hidden[dense.steps], "mel", torch.from_numpy(dense.values))
        want = want + logp[dense.steps, grid.tokens[0, dense.steps]]
    np.testing.assert_allclose(found.items["mel"], want.numpy(), rtol=1e-4)
    model, task, specs = case("spectron")
    with pytest.raises(BadInput, match="predicts 'mel', which is continuous, but RowsModel has no density for it"):
        score(model, task, [example], specs)


class Fair(LanguageModel):
    """Finds the first row's cells equally likely and has no opinion on others."""

    def cell_nats(self, batch):
        nats = torch.full(batch.role.shape, -np.log(20.0), dtype=torch.float64)
        return nats, (batch.tokens < 20) & (torch.arange(len(self.rows))[:, None] == 0)


def test_a_model_that_does_not_go_step_by_step_says_its_own():
    specs = {"a": Spec(20, 25), "b": Spec(20, 25)}
    task = Task(name="t", layout=Layout((Stack(("a", "b"), (0, 1)),)), predict=("a", "b"))
    config = LM(name="lm", tasks=(task,), body=Transformer.tiny())
    model = Fair(config, config.vocabs(specs), {"a": 0, "b": 0})
    examples = [{"a": Stream(np.arange(n)), "b": Stream(np.arange(n))} for n in (5, 3, 8)]
    for found, example in zip(score(model, task, examples, specs, [{"a": 1}] * 3, batch=2), examples, strict=True):
        n = len(example["a"])
        assert {name: part.count for name, part in found.parts.items()} == {"a": n - 1}
        assert found.total.mean == pytest.approx(-np.log(20))
        assert np.isnan(found.items["b"]).all()


@pytest.mark.parametrize("window", [{"seconds": 0.0}, {"items": 0}, {"seconds": 1.0, "items": 3}])
def test_a_window_that_says_nothing_is_refused(window):
    model, task, specs, examples = units()
    with pytest.raises(BadInput, match="a window is so many seconds or so many items"):
        score(model, task, examples, specs, **window)
