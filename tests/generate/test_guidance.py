import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate
from oration.generate import Sampler, complete, generate
from oration.layouts import Chunk, Layout, Line, Stack, Weave
from oration.lms import LM, Depth, Flow, Regress, Rows, Transformer
from oration.tasks import Task

sys.path.insert(0, str(Path(__file__).parents[1] / "layouts"))
from published import PUBLISHED, draw, specs_of

SPECS = {"text": Spec(30), "a": Spec(20, 25), "b": Spec(20, 25), "heard": Spec(15, 25)}
DEPTH = Depth(layers=1, dim=16, heads=2, ffn=24, rows=("a", "b"))
LAYOUTS = {
    "before": Layout((Line("text", row="text"), Stack(("a", "b"), (0, 1)))),
    "beside": Layout((Stack(("heard", "a", "b"), (0, 0, 1)),)),
    "woven": Layout((Weave(("heard", "a"), Chunk(0.08)),)),
}


@cache
def case(layout, head=None):
    given = "text" if layout == "before" else "heard"
    predict = tuple(s for s in LAYOUTS[layout].streams if s != given)
    task = Task(name="tts", layout=LAYOUTS[layout], predict=predict, condition=(given,))
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), head=head or Rows(), context=200).build(SPECS).eval()
    with torch.no_grad():  # so that the condition matters visibly
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(std=0.3)
    rng = np.random.default_rng(0)
    return model, task, [{given: Stream(rng.integers(0, 15, n))} for n in (4, 9, 6)]


def drawn(model, task, prompts, sampler, seeds=(1, 2, 3), **limits):
    limits = limits or {"steps": 14}
    replies = complete(model, task, prompts, SPECS, seeds=seeds[: len(prompts)], sampler=sampler, **limits)
    return [{name: s.ids.tolist() for name, s in reply.new().items()} for reply in replies]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_guidance_nothing_changes_and_with_it_something_does(layout):
    model, task, prompts = case(layout)
    plain = drawn(model, task, prompts, Sampler())
    assert drawn(model, task, prompts, Sampler(guidance=1.0)) == plain
    assert drawn(model, task, prompts, Sampler(guidance=4.0)) != plain
    # Nothing but the conditioned side: what is drawn is the same, with or without the other beside it.
    rows = tuple((row, Sampler()) for row in model.rows)
    assert drawn(model, task, prompts, Sampler(guidance=3.0, rows=rows)) == plain


def test_at_zero_the_condition_is_not_heard():
    model, task, prompts = case("before")
    deaf = drawn(model, task, prompts, Sampler(guidance=0.0))
    assert drawn(model, task, prompts[::-1], Sampler(guidance=0.0)) == deaf
    empty = [{"text": Stream(np.zeros(0, int))}] * 3
    assert drawn(model, task, empty, Sampler()) == deaf


@pytest.mark.parametrize("head", [Rows(), DEPTH], ids=["rows", "depth"])
def test_logits_go_beyond_the_condition(head):
    model, task, prompts = case("before", head)
    generation = generate(
        model, task, prompts[:1], SPECS, seeds=[0], sampler=Sampler(guidance=2.5, temperature=0), steps=1
    )
    generation.replies()
    took = generation.voices[0].cursor.turns[0]["a"]
    columns = []
    for prompt in (prompts[0], {"text": Stream(np.zeros(0, int))}):
        grid = task.place([prompt | {"a": Stream(np.zeros(0, int)), "b": Stream(np.zeros(0, int))}], SPECS)
        grid = collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()])
        with torch.no_grad():
            at = len(prompt["text"]) + 1
            columns.append(model.head.begin(model.hidden(grid)[:, at]))
    for column in columns:
        column.take("text", torch.tensor([model.vocabs["text"].offset("pad")]))
    with torch.no_grad():
        c, u = (column.logits("a")[0] for column in columns)
    guided = u + 2.5 * (c - u)
    pads = model.vocabs["a"].offset("pad")
    guided[pads] = -torch.inf
    best = int(guided.argmax())
    assert took == ([best] if best < 20 else [])


@pytest.mark.parametrize("head", [Rows(), DEPTH], ids=["rows", "depth"])
@pytest.mark.parametrize("layout", ["before", "beside"])
def test_a_guided_batch_gives_what_single_calls_give(layout, head):
    model, task, prompts = case(layout, head)
    sampler = Sampler(guidance=2.0, top_k=8, repetition=1.3, rows=(("b", Sampler(temperature=0.0, guidance=1.5)),))
    prompts = [p | {"a": Stream(np.arange(n))} for n, p in enumerate(prompts)]
    together = drawn(model, task, prompts, sampler)
    for i, prompt in enumerate(prompts):
        assert drawn(model, task, [prompt], sampler, seeds=(i + 1,)) == [together[i]]


def test_a_condition_that_outlasts_what_is_said_or_is_outlasted():
    model, task, _ = case("beside")
    for heard in (2, 40):
        prompt = {"heard": Stream(np.arange(heard) % 15)}
        (said,) = drawn(model, task, [prompt], Sampler(guidance=2.0), steps=60)
        assert max(len(s) for s in said.values()) <= 60


def test_guidance_needs_a_condition():
    model, task, prompts = case("before")
    for condition, message in (
        ((), "has condition=()"),
        (("a",), "has condition=('a',)"),
        (("x",), "condition=('x',)"),
    ):
        wrong = Task(name="tts", layout=task.layout, predict=task.predict, condition=condition)
        with pytest.raises(BadInput) as said:
            generate(model, wrong, prompts, SPECS, seeds=[0] * 3, sampler=Sampler(guidance=2.0), steps=3)
        assert message in str(said.value)
        assert "set it to some of its given streams, ['text'], or use guidance=1" in str(said.value)
    with pytest.raises(BadInput, match="a sampler needs .* guidance >= 0"):
        Sampler(guidance=-1.0)


# Rows of their own sampler, in heads whose rows depend on each other


def test_each_row_of_a_column_has_its_own_sampler():
    model, task, prompts = case("before", DEPTH)
    cold = Sampler(rows=(("a", Sampler.greedy()),))
    many = [drawn(model, task, prompts[:1], cold, seeds=(seed,), steps=3)[0] for seed in range(8)]
    assert len({tuple(m["a"][:2]) for m in many}) == 1  # row a's second item may depend on b's first: not so here
    assert len({tuple(m["b"]) for m in many}) > 1


# Vectors


@cache
def spectron(head):
    blocks, _ = PUBLISHED["spectron"]
    task, specs = Task(name="say", layout=blocks, predict=("mel",)), specs_of(blocks)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny(), head=head.tiny(), context=200).build(specs).eval()
    rng = np.random.default_rng(0)
    examples = [draw(blocks.streams, frames, rng) for frames in (7, 4, 6)]
    return model, task, specs, [e | {"mel": e["mel"].cut(0, n)} for n, e in enumerate(examples)]


@pytest.mark.parametrize("head", [Regress(), Flow()], ids=["regress", "flow"])
def test_vectors_are_drawn_fed_back_and_handed_over(head):
    model, task, specs, prompts = spectron(head)
    settings = {"least": {"mel": 6}, "steps": 40}
    generation = generate(model, task, prompts, specs, seeds=[1, 2, 3], expose=("mel", "text"), **settings)
    items = [(number, item) for number, stream, item in generation if stream == "mel"]
    for i, (prompt, reply) in enumerate(zip(prompts, generation.replies(), strict=True)):
        mel, known = reply.example["mel"], len(prompt["mel"])
        assert reply.known["mel"] == known
        assert mel.values.dtype == np.float32
        np.testing.assert_array_equal(mel.values[:known], prompt["mel"].values)
        np.testing.assert_array_equal(reply.new()["mel"].values, [item for number, item in items if number == i])
        # What was drawn step by step is what the model says of the whole, each vector from its own hidden vector.
        grid = task.place([reply.example], specs, vocabs=model.vocabs)
        batch = collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()])
        with torch.no_grad():
            hidden = model.hidden(batch)[0][grid.dense["mel"].steps[: len(mel)]]
        assert reply.hidden["mel"].shape == (len(mel), model.dim)
        np.testing.assert_allclose(reply.hidden["mel"], hidden.numpy(), atol=2e-5)
        assert reply.hidden["text"].shape == (len(reply.example["text"]), model.dim)
        if isinstance(head, Regress):
            with torch.no_grad():
                want = model.head.vector(hidden[known:], "mel", torch.zeros(len(mel) - known, mel.values.shape[1]))
            np.testing.assert_allclose(mel.values[known:], want.numpy(), atol=1e-4)
        (alone,) = complete(model, task, [prompt], specs, seeds=[i + 1], **settings)
        np.testing.assert_allclose(alone.example["mel"].values, mel.values, atol=1e-4)


def test_chance_makes_vectors_differ_and_zero_temperature_takes_it_away():
    model, task, specs, prompts = spectron(Flow())
    settings = {"least": {"mel": 3}, "steps": 12}

    def mel(seed, sampler):
        (reply,) = complete(model, task, prompts[:1], specs, seeds=[seed], sampler=sampler, **settings)
        return reply.new()["mel"].values[:3]

    assert not np.allclose(mel(1, Sampler()), mel(2, Sampler()))
    np.testing.assert_array_equal(mel(1, Sampler()), mel(1, Sampler()))
    np.testing.assert_array_equal(mel(1, Sampler.greedy()), mel(2, Sampler.greedy()))


def test_only_streams_of_the_task_are_exposed():
    model, task, specs, prompts = spectron(Regress())
    with pytest.raises(BadInput, match=r"expose=\('units',\): task 'say' has no stream 'units'"):
        generate(model, task, prompts, specs, seeds=[1, 2, 3], steps=3, expose=("units",))


def test_marks_are_never_penalised():
    model, task, prompts = case("woven")
    prompt = prompts[1] | {"a": Stream(np.arange(8))}
    generation = generate(model, task, [prompt], SPECS, seeds=[0], sampler=Sampler(repetition=5.0), steps=4)
    list(generation)
    vocab = model.vocabs["main"]
    seen = generation.drawer._seen["main"][0]
    held = {name for name, (first, last) in vocab.ranges.items() if bool(seen[first:last].any())}
    assert held == {"a", "heard"}
