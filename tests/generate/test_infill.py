import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, dumps, from_record, pack
from oration.generate import Confidence, Levels, Ode, Sampler, score
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Transformer
from oration.objectives import Masked
from oration.tasks import Task

LEVELS = ("c.0", "c.1")
SPECS = {"phones": Spec(9), "units": Spec(6, 25), "slow": Spec(6, 12.5), **dict.fromkeys(LEVELS, Spec(6, 25))}
TASK = Task(name="acoustic", layout=Layout((Stack(("units", *LEVELS), delays=(0, 0, 1)),)), predict=LEVELS)
BODY = Transformer(layers=2, dim=32, heads=4, ffn=64, causal=False)


def truth(rng, frames):
    units = rng.integers(0, 6, frames)
    return {"units": Stream(units), "c.0": Stream(5 - units), "c.1": Stream(np.append(units[1:], units[-1]))}


@cache
def trained():
    """A model that has learnt that level 0 mirrors the units, and level 1 says the unit to come."""
    torch.manual_seed(0)
    lm = LM(name="storm", tasks=(TASK,), body=BODY, generator=Confidence(steps=(4, 1)))
    model = lm.build(SPECS)
    objective = Masked(drop=0.2).build(model, SPECS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rng, pads = np.random.default_rng(0), [vocab.offset("pad") for vocab in model.vocabs.values()]
    for _ in range(110):
        grids = [[TASK.place([truth(rng, int(rng.integers(6, 13)))], SPECS, vocabs=model.vocabs)] for _ in range(16)]
        loss = objective(model, pack(grids, pads)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def prompts():
    rng = np.random.default_rng(7)
    whole = [truth(rng, frames) for frames in (9, 6, 12)]
    # nothing known; a beginning of both levels; level 0 whole
    known = [{}, {"c.0": 3, "c.1": 2}, {"c.0": 12}]
    starts = [
        {"units": e["units"]} | {name: e[name].cut(0, n) for name, n in k.items()}
        for e, k in zip(whole, known, strict=True)
    ]
    return whole, starts


HOW = [Confidence(steps=(5, 2)), Confidence(steps=(1,), guidance=1.5), Levels(), Levels(sample=True, guidance=0.5)]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_what_is_given_stays_and_a_batch_gives_what_single_calls_give(how):
    model = trained()
    _, starts = prompts()
    sampler = Sampler(temperature=1.5)
    batch = how.complete(model, TASK, starts, SPECS, seeds=[1, 2, 3], sampler=sampler)
    for seed, (start, together) in enumerate(zip(starts, batch, strict=True), 1):
        (alone,) = how.complete(model, TASK, [start], SPECS, seeds=[seed], sampler=sampler)
        assert (alone.known, alone.steps, alone.stopped) == (together.known, together.steps, "end")
        for name in LEVELS:
            assert alone.example[name].ids.tolist() == together.example[name].ids.tolist()
            assert len(together.example[name]) == len(start["units"])
            if name in start:
                assert together.example[name].ids[: len(start[name])].tolist() == start[name].ids.tolist()
        assert together.example["units"] is start["units"]
        assert together.known == {name: len(start.get(name, ())) for name in LEVELS}
    assert [reply.steps for reply in batch] == [10, 4, 12]


@pytest.mark.parametrize("how", [Confidence(steps=(4, 1)), Levels()], ids=str)
def test_what_was_hidden_is_restored(how):
    model = trained()
    whole, starts = prompts()
    replies = how.complete(model, TASK, starts, SPECS, seeds=[1, 2, 3], sampler=Sampler(temperature=0.3))
    right = [
        float(np.mean(reply.example[name].ids == example[name].ids))
        for reply, example in zip(replies, whole, strict=True)
        for name in LEVELS
    ]
    assert np.mean(right) > 0.9  # chance: 1 in 6


def test_seeds_decide_and_repeat():
    model = trained()
    _, starts = prompts()
    how, hot = Confidence(steps=(3, 3)), Sampler(temperature=4.0)

    def said(seed):
        return how.complete(model, TASK, starts[:1], SPECS, seeds=[seed], sampler=hot)[0].example["c.0"].ids.tolist()

    assert said(1) == said(1)
    assert len({tuple(said(seed)) for seed in range(6)}) > 3
    greedy = [Levels().complete(model, TASK, starts[:1], SPECS, seeds=[seed])[0] for seed in (1, 2)]
    assert greedy[0].example["c.1"].ids.tolist() == greedy[1].example["c.1"].ids.tolist()


def test_items_come_level_by_level_and_are_those_of_the_replies():
    model = trained()
    _, starts = prompts()
    filling = Confidence(steps=(3, 1)).generate(model, TASK, starts, SPECS, seeds=[1, 2, 3])
    came, first = [], next(filling)
    assert first[1] == "c.0"
    came = [first, *filling]
    assert [name for _, name, _ in came] == sorted(name for _, name, _ in came)
    for number, reply in enumerate(filling.replies()):
        for name in LEVELS:
            assert [item for i, s, item in came if (i, s) == (number, name)] == reply.new()[name].ids.tolist()


def test_the_surest_cells_are_kept_first():
    model = trained()
    _, starts = prompts()
    seen = []
    original = type(model).level

    def watch(self, batch, k, hide, drop=None):
        seen.append((k, int(hide[:, k].sum()), batch.tokens[hide.new_ones(hide.shape) & ~hide].clone()))
        return original(self, batch, k, hide, drop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "level", watch)
        Confidence(steps=(4, 1), noise=0.0).complete(model, TASK, starts[2:3], SPECS, seeds=[0])
        assert [k for k, _, _ in seen] == [2]  # level 0 was given whole
        seen.clear()
        Confidence(steps=(4, 2), noise=0.0).complete(model, TASK, starts[:1], SPECS, seeds=[0])
    hidden = [(k, n) for k, n, _ in seen]
    by_cosine = [int(9 * np.cos(np.pi / 2 * i / 4)) for i in range(4)]
    assert hidden == [(1, n) for n in by_cosine] + [(2, 9), (2, int(9 * np.cos(np.pi / 4)))]


def test_guidance_of_one_is_none_and_more_goes_further():
    model = trained()
    _, starts = prompts()
    calls, levels = [], []
    original = type(model).level

    def watch(self, batch, k, hide, drop=None):
        calls.append(drop is not None)
        levels.append(original(self, batch, k, hide, drop))
        return levels[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "level", watch)
        Levels().complete(model, TASK, starts[:1], SPECS, seeds=[0])
        assert calls == [False, False]
        calls.clear(), levels.clear()
        Levels(guidance=0.0).complete(model, TASK, starts[:1], SPECS, seeds=[0])
        Levels(sample=True).complete(model, TASK, starts[:1], SPECS, seeds=[0], sampler=Sampler(guidance=2.0))
    assert calls == [False, True] * 4
    # without the units a level is a guess: what they tell is what guidance makes more of
    sure = [float(logits.softmax(-1).amax(-1).mean()) for logits in levels[:2]]
    assert sure[0] > 0.9
    assert sure[1] < 0.6


def test_lengths_follow_the_clock_or_are_told():
    layout = Layout((Line("phones", row="text"), Line("slow", row="text"), Stack(LEVELS)))
    task = Task(name="tts", layout=layout, predict=LEVELS)
    model = LM(name="tts", tasks=(task,), body=replace(BODY, dim=16, ffn=16)).build(SPECS)
    prompt = {"phones": Stream(np.arange(4)), "slow": Stream(np.arange(3))}

    def lengths(**told):
        reply = Levels().complete(model, task, [prompt], SPECS, seeds=[0], **told)[0]
        return [len(reply.example[name]) for name in LEVELS]

    assert lengths() == [6, 6]
    assert lengths(lengths={"c.1": [4]}) == [6, 4]
    assert lengths(lengths={"c.0": 0, "c.1": 2}) == [0, 2]
    assert lengths(seconds=9.0) == [6, 6]
    prompt["c.0"] = Stream(np.arange(7) % 6)  # a frame longer than the clock has it
    assert lengths() == [7, 6]
    bare = Task(name="tts", layout=Layout((Line("phones", row="text"), Stack(LEVELS))), predict=LEVELS)
    model = LM(name="tts", tasks=(bare,), body=replace(BODY, dim=16, ffn=16)).build(SPECS)
    prompt = {"phones": Stream(np.arange(4))}
    with pytest.raises(BadInput, match=r"nothing tells how many items it has.*pass lengths=\{'c.0': \.\.\.\}"):
        Levels().complete(model, bare, [prompt], SPECS, seeds=[0])
    (reply,) = Levels().complete(model, bare, [prompt], SPECS, seeds=[0], lengths={"c.0": 5})
    assert len(reply.example["c.1"]) == 5  # beside a level whose length is told
    (reply,) = Levels().complete(model, bare, [prompt], SPECS, seeds=[0], seconds=0.16)
    assert [len(reply.example[name]) for name in LEVELS] == [4, 4]
    with pytest.raises(BadInput, match="does not predict 'phones'"):
        Levels().complete(model, bare, [prompt], SPECS, seeds=[0], lengths={"phones": 5})
    prompt["c.0"] = Stream(np.arange(3))
    with pytest.raises(BadInput, match=r"a prompt already has 3 items of 'c.0', more than the 2"):
        Levels().complete(model, bare, [prompt], SPECS, seeds=[0], lengths={"c.0": 2})


def test_a_model_and_how_it_generates_are_one_record():
    lm = trained().config
    assert from_record(json.loads(dumps(lm))) == lm
    assert lm.tiny().generator == lm.generator


def test_only_the_last_turn_is_filled():
    model = trained()
    whole, starts = prompts()
    turns = [whole[0], starts[1]]
    (reply,) = Levels().complete(model, TASK, [turns], SPECS, seeds=[0])
    assert reply.known == {"c.0": 3, "c.1": 2}
    assert {name: len(s) for name, s in reply.new().items()} == {"c.0": 3, "c.1": 4}


def test_scores_are_level_by_level():
    model = trained()
    whole, _ = prompts()
    wrong = [{**e, "c.1": Stream((e["c.1"].ids + 1) % 6)} for e in whole]
    right, off = score(model, TASK, whole, SPECS), score(model, TASK, wrong, SPECS, batch=2)
    for i, (good, bad) in enumerate(zip(right, off, strict=True)):
        assert set(good.parts) == set(LEVELS)
        assert good["c.0"].count == good["c.1"].count == len(whole[i]["units"])
        assert good["c.0"].nats == pytest.approx(bad["c.0"].nats, rel=1e-5)  # level 0 hears nothing of level 1
        assert good["c.1"].mean > -0.7 > -2 > bad["c.1"].mean
        (alone,) = score(model, TASK, [whole[i]], SPECS)
        assert alone.total.nats == pytest.approx(good.total.nats, rel=1e-4)
    known = [{"c.0": 2, "c.1": 4}] * 3
    rest = score(model, TASK, whole, SPECS, known)
    assert [s["c.0"].count for s in rest] == [7, 4, 10]
    assert [s["c.1"].count for s in rest] == [5, 2, 8]
    with pytest.raises(BadInput, match="1 prompts"):
        score(model, TASK, whole, SPECS, known[:1])


def test_what_it_cannot_do_is_said():
    model = trained()
    _, starts = prompts()
    causal = LM(name="lm", tasks=(TASK,), body=Transformer.tiny()).build(SPECS)
    with pytest.raises(BadInput, match="Levels fills grids in, but 'lm' is a LanguageModel"):
        Levels().complete(causal, TASK, starts, SPECS, seeds=[1, 2, 3])
    with pytest.raises(BadInput, match="got 3 prompts and 1 seeds"):
        Levels().complete(model, TASK, starts, SPECS, seeds=[1])
    with pytest.raises(BadInput, match="exposes no vectors"):
        Levels().complete(model, TASK, starts, SPECS, seeds=[1, 2, 3], expose=("c.0",))
    with pytest.raises(BadInput, match="Ode follows a flow, but 'storm' is a InfillModel"):
        Ode().complete(model, TASK, starts, SPECS, seeds=[1, 2, 3])
    with pytest.raises(BadInput, match="1 pass or more"):
        Confidence(steps=(0,))
    with pytest.raises(BadInput, match="turn 0 has no stream 'units'"):
        Levels().complete(model, TASK, [{}], SPECS, seeds=[1], lengths={"c.0": 3, "c.1": 3})


def test_a_stream_without_a_rate_has_an_item_for_each_of_the_given_one_beside_it():
    specs = {"phones": Spec(9), "last": Spec(5)}
    task = Task(name="last", layout=Layout((Stack(("phones", "last")),)), predict=("last",))
    model = LM(name="pace", tasks=(task,), body=BODY).build(specs)
    prompts = [{"phones": Stream(np.arange(count))} for count in (4, 7)]
    replies = Confidence(steps=(2,)).complete(model, task, prompts, specs, seeds=[0, 1])
    assert [len(reply.example["last"]) for reply in replies] == [4, 7]
