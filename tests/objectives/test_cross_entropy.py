import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Transformer
from oration.objectives import CrossEntropy
from oration.tasks import Task

SPECS = {"text": Spec(8), "units": Spec(12, 25)}


def case(layout=None, predict=("text", "units")):
    layout = layout or Layout((Stack(("text", "units"), (0, 1)),))
    task = Task(name="test", layout=layout, predict=predict)
    torch.manual_seed(0)
    model = LM(name="lm", tasks=(task,), body=Transformer.tiny()).build(SPECS).eval()
    rng = np.random.default_rng(0)
    examples = [{"text": Stream(rng.integers(0, 8, n)), "units": Stream(rng.integers(0, 12, n + 2))} for n in (4, 2)]
    grids = [task.place([example], SPECS, vocabs=model.vocabs) for example in examples]
    return model, collate(grids, [v.offset("pad") for v in model.vocabs.values()])


def by_hand(model, batch, weight):
    """Weighted mean of -log p; `weight` of (row, token)."""
    total = mass = 0.0
    logits = model(batch)
    for k, row in enumerate(model.rows):
        logp = logits[row].log_softmax(-1)
        for b, s in (batch.role[:, k] == 2).nonzero().tolist():
            token = int(batch.tokens[b, k, s])
            w = weight(*model.vocabs[row].name(token))
            total, mass = total - w * float(logp[b, s, token]), mass + w
    return total / mass


@torch.no_grad()
@pytest.mark.parametrize("form", [dict, lambda pairs: tuple(pairs.items())])
def test_weights_and_fillers_count_as_asked(form):
    model, batch = case()
    objective = CrossEntropy(weights=form({"units": 100.0, "end": 0.5}), pad_weight=0.25, pads=(("text", 3),))
    loss = objective.build(model, SPECS)(model, batch)

    def weight(stream, symbol):
        return {"units": 100.0, "end": 0.5}.get(stream, 1.0) * (0.25 if (stream, symbol) == ("text", 3) else 1)

    assert float(loss.total) == pytest.approx(by_hand(model, batch, weight), rel=1e-5)
    for name in ("text", "units", "end"):  # parts are what the model says of each block, whatever it weighs
        alone = by_hand(model, batch, lambda stream, symbol, name=name: float(stream == name))
        assert loss.parts[name] == pytest.approx(alone, rel=1e-5)


def test_it_keeps_the_promise_to_the_loop():
    model, batch = case()
    objective = CrossEntropy.tiny().build(model, SPECS)
    assert [id(w) for w in objective.groups(model)["model"]] == [id(w) for w in model.parameters()]
    assert objective.state_dict() == {}
    ((group, loss),) = objective.losses(model, batch, 0.5)
    loss.total.backward()
    assert group == "model"
    assert loss.total.requires_grad
    assert all(isinstance(value, float) for value in loss.parts.values())


def test_a_stream_without_weight_teaches_nothing():
    model, batch = case()
    CrossEntropy(weights={"units": 0.0, "end": 0.0}).build(model, SPECS)(model, batch).total.backward()
    assert not bool(model.head.projections["units"].weight.grad.any())
    assert bool(model.head.projections["text"].weight.grad.any())


def test_what_cannot_be_weighed_is_said():
    model, _ = case()
    with pytest.raises(BadInput, match=r"weighs the stream 'codec.0', which the model does not have"):
        CrossEntropy(weights={"codec.0": 2.0}).build(model, SPECS)
    with pytest.raises(BadInput, match="the weight of 'units' is -1"):
        CrossEntropy(weights={"units": -1.0})
    given, nothing = case(Layout((Line("text"), Line("units"))), predict=())
    with pytest.raises(BadInput, match="no cell to predict"):
        CrossEntropy().build(given, SPECS)(given, nothing)
