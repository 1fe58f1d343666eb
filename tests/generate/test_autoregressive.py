import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.core import PREDICT, BadInput, Spec, Stream, collate, pack
from oration.generate import Sampler, complete, generate, score
from oration.layouts import Layout, Line, Stack, Time, Weave
from oration.lms import LM, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "layouts"))
from published import PUBLISHED, draw, specs_of


@cache
def case(layout):
    """A model of random weights, its task, and three prepared examples of unequal length."""
    blocks, predict = PUBLISHED[layout]
    task, specs = Task(name="test", layout=blocks, predict=predict), specs_of(blocks)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), context=400).build(specs)
    rng = np.random.default_rng(len(layout))
    return model, task, specs, [draw(blocks.streams, frames, rng) for frames in (7, 3, 5)]


def prompt(example, task, share):
    """The given streams, and the first part of the predicted ones."""
    return {name: s.cut(0, int(len(s) * share)) if name in task.predict else s for name, s in example.items()}


speakable = [name for name in PUBLISHED if name != "spectron"]


@pytest.mark.parametrize("layout", speakable)
def test_what_is_given_is_kept_and_the_rest_is_drawn_within_the_layout(layout):
    model, task, specs, examples = case(layout)
    prompts = [prompt(example, task, share) for example, share in zip(examples, (0.5, 0.0, 1.0), strict=True)]
    generation = generate(model, task, prompts, specs, seeds=[1, 2, 3], steps=40)
    fresh = [{name: [] for name in task.predict} for _ in prompts]
    for number, stream, item in generation:
        fresh[number][stream].append(item)
    for number, (start, reply) in enumerate(zip(prompts, generation.replies(), strict=True)):
        assert reply.known == {name: len(start[name]) for name in task.predict}
        assert {name: s.ids.tolist() for name, s in reply.new().items()} == fresh[number]
        for name, stream in start.items():
            got = reply.example[name]
            assert got.ids[: len(stream)].tolist() == stream.ids.tolist()
            if name not in task.predict:
                assert got is stream
        if reply.stopped == "end" and not any(specs[name].rate is None for name in task.layout.streams):
            grid = task.place([reply.example], specs, reply.known, model.vocabs)
            assert grid.steps == len(generation.voices[number].prefix) + reply.steps
        assert reply.stopped == "end" or reply.steps == 40


ending = [name for name in speakable if not PUBLISHED[name][0].endless]  # else the grid cannot say that more may come


@pytest.mark.parametrize("layout", ending)
def test_the_prompt_is_what_the_grid_gives(layout):
    model, task, specs, examples = case(layout)
    for example, share in zip(examples, (0.5, 0.0, 1.0), strict=True):
        start = prompt(example, task, share)
        voice = generate(model, task, [start], specs, seeds=[0], steps=1).voices[0]
        known = {name: len(start[name]) for name in task.predict}
        grid = task.place([start], specs, known, model.vocabs)
        asked = (grid.role == PREDICT).any(0)
        leading = int(asked.argmax()) if asked.any() else grid.steps
        ours = voice.grid()
        assert ours.steps == leading
        assert np.array_equal(ours.tokens, grid.tokens[:, :leading])
        for name, dense in ours.dense.items():
            here = grid.dense[name].steps < leading
            assert np.array_equal(dense.values, grid.dense[name].values[here])
            assert np.array_equal(dense.steps, grid.dense[name].steps[here])


@pytest.mark.parametrize("layout", [name for name in speakable if name != "syncllm"])  # the user's end ends that one
def test_no_stream_ends_before_its_least_length(layout):
    model, task, specs, examples = case(layout)
    start = prompt(examples[1], task, 0.5)
    replies = complete(
        model, task, [start] * 4, specs, seeds=[5, 6, 7, 8], steps=40, least=dict.fromkeys(task.predict, 3)
    )
    assert all(len(s) >= 3 for reply in replies if reply.stopped == "end" for s in reply.new().values())


@pytest.mark.parametrize("layout", speakable)
def test_a_batch_gives_what_single_calls_give(layout):
    model, task, specs, examples = case(layout)
    prompts = [prompt(example, task, share) for example, share in zip(examples, (0.5, 0.0, 1.0), strict=True)]
    sampler = Sampler(temperature=0.8, top_k=12, top_p=0.95, repetition=1.2)
    batch = complete(model, task, prompts, specs, seeds=[1, 2, 3], sampler=sampler, steps=15)
    for seed, (start, together) in enumerate(zip(prompts, batch, strict=True), 1):
        (alone,) = complete(model, task, [start], specs, seeds=[seed], sampler=sampler, steps=15)
        assert (alone.stopped, alone.steps, alone.known) == (together.stopped, together.steps, together.known)
        for name in task.predict:
            assert alone.example[name].ids.tolist() == together.example[name].ids.tolist()


def counting(layout, predict, specs, examples, steps=120):
    """A model trained until it knows the examples by heart."""
    task = Task(name="count", layout=layout, predict=predict)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer(layers=2, dim=48, heads=4, ffn=64), context=64).build(specs)
    pads = [vocab.offset("pad") for vocab in model.vocabs.values()]
    batch = pack([[task.place([example], specs, vocabs=model.vocabs) for example in examples]], pads)
    objective, optimizer = CrossEntropy().build(model, specs), torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        for _, loss in objective.losses(model, batch, 0.0):
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
    return model, task, loss


@cache
def counter():
    """Counts up from any start below 6, and stops at 9."""
    specs = {"units": Spec(10, 50)}
    examples = [{"units": Stream(np.arange(first, 10))} for first in range(6)]
    return (*counting(Layout((Line("units"),)), ("units",), specs, examples), specs)


def test_a_trained_model_goes_on_as_it_was_taught_and_ends():
    model, task, loss, specs = counter()
    assert set(loss.parts) == {"units", "end"}
    starts = [{"units": Stream(np.array(ids))} for ids in ([2, 3], [5], [0, 1, 2, 3, 4])]
    greedy = Sampler.greedy()
    replies = complete(model, task, starts, specs, seeds=[0, 0, 0], sampler=greedy, steps=20)
    assert [reply.example["units"].ids.tolist() for reply in replies] == [
        [*range(2, 10)],
        [*range(5, 10)],
        [*range(10)],
    ]
    assert [reply.stopped for reply in replies] == ["end"] * 3
    assert [reply.steps for reply in replies] == [7, 5, 6]
    (again,) = complete(model, task, starts[:1], specs, seeds=[7], sampler=Sampler(temperature=0.2), steps=20)
    assert again.example["units"].ids.tolist() == [*range(2, 10)]


def test_rows_with_delays_are_drawn_together():
    specs = {"a": Spec(8, 25), "b": Spec(8, 25)}
    examples = [{"a": Stream(np.arange(f, f + 5)), "b": Stream(np.arange(f, f + 5)[::-1])} for f in range(3)]
    model, task, _ = counting(Layout((Stack(("a", "b"), delays=(0, 2)),)), ("a", "b"), specs, examples, steps=120)
    start = {name: s.cut(0, 2) for name, s in examples[1].items()}
    generation = generate(model, task, [start], specs, seeds=[0], sampler=Sampler.greedy(), steps=20)
    assert generation.voices[0].steps == 0
    # Row a is drawn while row b, two steps later, is still given what the prompt holds.
    assert list(generation) == [(0, "a", 3), (0, "a", 4), (0, "a", 5), (0, "b", 3), (0, "b", 2), (0, "b", 1)]
    (reply,) = generation.replies()
    assert (reply.stopped, reply.example["b"].ids.tolist()) == ("end", [5, 4, 3, 2, 1])


def test_a_dialogue_so_far_is_a_prompt():
    specs = {"user": Spec(6), "units": Spec(6)}
    layout = Layout((Line("user"), Line("units")))
    rng = np.random.default_rng(0)
    task = Task(name="echo", layout=layout, predict=("units",))
    model, task, _ = counting(
        layout,
        ("units",),
        specs,
        [{"user": Stream(i), "units": Stream(i)} for i in rng.integers(0, 6, (4, 3))],
        steps=10,
    )
    turns = [{"user": Stream(np.array([1, 2])), "units": Stream(np.array([3]))}, {"user": Stream(np.array([4]))}]
    generation = generate(model, task, [turns], specs, seeds=[0], steps=3)
    grid = task.place([turns[0], {**turns[1], "units": Stream(np.zeros(0, np.int64))}], specs, vocabs=model.vocabs)
    assert np.array_equal(generation.voices[0].grid().tokens, grid.tokens[:, :-1])
    (reply,) = generation.replies()
    assert reply.example["user"] is turns[1]["user"]
    assert len(reply.example["units"]) <= 3


def test_limits_and_the_least_length():
    model, task, _, specs = counter()
    start, greedy = [{"units": Stream(np.array([4, 5]))}], Sampler.greedy()
    (reply,) = complete(model, task, start, specs, seeds=[0], sampler=greedy, steps=3)
    assert (reply.stopped, reply.steps, reply.new()["units"].ids.tolist()) == ("steps", 3, [6, 7, 8])
    (reply,) = complete(model, task, start, specs, seeds=[0], sampler=greedy, seconds=0.04)
    assert (reply.stopped, reply.new()["units"].ids.tolist()) == ("seconds", [6, 7])
    (reply,) = complete(model, task, start, specs, seeds=[0], sampler=greedy, steps=30, least={"units": 9})
    assert len(reply.new()["units"]) >= 9
    (whole,) = complete(model, task, start, specs, seeds=[0], sampler=greedy, seconds=1.0)
    assert whole.stopped == "end"


def test_generation_leaves_the_model_as_it_was():
    model, task, _, specs = counter()
    model.train()
    generation = generate(model, task, [{}], specs, seeds=[0], steps=4)
    next(generation)
    assert model.training
    assert not torch.is_inference_mode_enabled()
    assert all(weight.grad is None or not weight.is_inference() for weight in model.parameters())
    model.eval()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a limit above 0, but got steps=None and seconds=None"),
        ({"steps": 0}, "needs a limit above 0"),
        ({"steps": 63}, "a prompt of 2 steps and 63 more do not fit 'lm', whose context is 64; .* at most"),
        ({"seconds": 5.0}, "a prompt of 2 steps and 250 more do not fit"),
        ({"steps": 5, "least": {"text": 3}}, "does not predict 'text'"),
        ({"steps": 5, "seeds": [1, 2]}, "got 1 prompts and 2 seeds"),
        ({"steps": 5, "prompts": [{"units": Stream(np.array([10]))}]}, "'units' holds the id 10, expected 0 to 9"),
    ],
)
def test_what_cannot_be_generated_is_said_before_it_begins(settings, message):
    model, task, _, specs = counter()
    given = {"prompts": [{"units": Stream(np.array([4, 5]))}], "seeds": [0], **settings}
    with pytest.raises(BadInput, match=message):
        generate(model, task, specs=specs, **given)


def test_a_task_that_cannot_be_generated_says_why():
    model, task, specs, examples = case("spectron")
    with pytest.raises(BadInput, match="predicts 'mel', which is continuous"):
        generate(model, task, [examples[0]], specs, seeds=[0], steps=5)
    model, task, specs, examples = case("speechgpt")
    with pytest.raises(BadInput, match=r"prompt 0 has no stream 'user.units', which task 'test' needs"):
        generate(model, task, [{}], specs, seeds=[0], steps=5)
    words = Task(name="words", layout=task.layout, predict=("text",))
    with pytest.raises(BadInput, match=r"seconds=1.0 says nothing to task 'words'"):
        generate(model, words, [examples[0]], specs, seeds=[0], seconds=1.0)
    task = Task(name="late", layout=Layout((Weave(("text", "units"), Time()),)), predict=("units",))
    specs = {"text": Spec(5), "units": Spec(5, 25)}
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny()).build(specs)
    with pytest.raises(BadInput, match="weaves the given 'text' with predicted streams by time"):
        generate(model, task, [{"text": Stream(np.zeros(0, int))}], specs, seeds=[0], steps=5)


def test_a_model_with_a_window_goes_on_past_its_cache():
    specs = {"units": Spec(10, 50)}
    task = Task(name="continue", layout=Layout((Line("units"),)), predict=("units",))
    torch.manual_seed(1)
    body = Transformer(layers=2, dim=32, heads=4, ffn=48, window=4)
    model = LM(name="lm", tasks=(task,), body=body, context=None).build(specs).eval()
    starts = [{"units": Stream(np.array([4, 5, 6]))}, {"units": Stream(np.array([1]))}]
    replies = complete(model, task, starts, specs, seeds=[3, 4], steps=60, least={"units": 60})
    for reply in replies:
        grid = task.place([reply.example], specs, vocabs=model.vocabs)
        with torch.no_grad():
            logits = model(collate([grid], [10]))["main"][0].double()
        chance = torch.Generator().manual_seed(3 if reply is replies[0] else 4)
        for step in range(reply.known["units"], grid.steps - 1):  # the draws of a whole forward pass are the same
            p = logits[step, :10].softmax(-1).cumsum(-1)
            u = torch.rand(1, dtype=torch.float64, generator=chance)
            assert int(torch.searchsorted(p, u * p[-1], right=True)) == grid.tokens[0, step]


def test_scores_are_what_the_model_says():
    model, task, specs, examples = case("speechgpt")
    known = [{"text": len(e["text"]), "units": 2} for e in examples]
    known = [{n: min(k, len(e[n])) for n, k in ks.items()} for e, ks in zip(examples, known, strict=True)]
    whole, rest = score(model, task, examples, specs), score(model, task, examples, specs, known, batch=2)
    alone = [score(model, task, [example], specs)[0] for example in examples]
    pads = [vocab.offset("pad") for vocab in model.vocabs.values()]
    for i, example in enumerate(examples):
        grid = task.place([example], specs, vocabs=model.vocabs)
        with torch.no_grad():
            model.eval()
            logp = model(collate([grid], pads))["main"][0].double().log_softmax(-1)
        nats = [
            float(logp[s, t]) if r == PREDICT else 0.0
            for s, (t, r) in enumerate(zip(grid.tokens[0], grid.role[0], strict=True))
        ]
        assert whole[i].total.nats == pytest.approx(sum(nats), rel=1e-5)
        assert whole[i].total.count == (grid.role == PREDICT).sum()
        for name in ("user.text", "text", "units"):
            assert whole[i][name].count == len(example[name])
            assert alone[i][name].nats == pytest.approx(whole[i][name].nats, rel=1e-5)
        assert whole[i]["end"].count == 3
        assert rest[i]["units"].count == len(example["units"]) - known[i]["units"]
        assert rest[i]["text"] == whole[i]["nothing"]
        assert whole[i]["units"].nats < rest[i]["units"].nats < 0
    with pytest.raises(BadInput, match=r"1 prompts .* for 3 examples"):
        score(model, task, examples, specs, known[:1])


def test_likelier_is_what_was_taught():
    model, task, _, specs = counter()
    right, wrong = {"units": Stream(np.arange(3, 10))}, {"units": Stream(np.array([3, 4, 5, 7, 6, 8, 9]))}
    good, bad = score(model, task, [right, wrong], specs)
    assert good["units"].mean > bad["units"].mean
    assert good["units"].count == bad["units"].count == 7
