"""Heads that make vectors: their losses, their draws and their densities."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream, collate, from_record, pack, to_record
from oration.generate import Sampler, complete
from oration.layouts import Layout, Line
from oration.lms import LM, Depth, Flow, Regress, Transformer
from oration.lms.vectors import _divergence, gaussian
from oration.objectives import CrossEntropy
from oration.tasks import Task

SPECS = {"speech": Spec(1, 25, dim=6), "mel": Spec(1, 25, dim=4), "text": Spec(9)}
SAY = Task(name="say", layout=Layout((Line("speech"), Line("text"), Line("mel"))), predict=("text", "mel"))
KINDS = {
    "regress": Regress(prenet=(8,), postnet=(16,), dropout=0.2, streams=("mel",)),
    "flow": Flow(dim=32, layers=2, steps=4, streams=("mel",)),
    "over depth": Flow(dim=16, layers=1, symbols=Depth(layers=1, dim=16, heads=2, ffn=16)),
}
every = pytest.mark.parametrize("kind", KINDS)


def build(head, seed=0):
    torch.manual_seed(seed)
    return LM(name="lm", tasks=(SAY,), body=Transformer.tiny(), head=head).build(SPECS).eval()


def rough(model):
    """Weights that are not at their start, where a flow stands still."""
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.normal_(std=0.3)
    return model


def example(frames=5, seed=0):
    rng = np.random.default_rng(seed)
    made = {
        name: Stream.dense(rng.normal(size=(frames, SPECS[name].dim)).astype(np.float32)) for name in ("speech", "mel")
    }
    return {**made, "text": Stream(rng.integers(0, 9, 3))}


def batch_of(model, lines):
    grids = [[SAY.place([example(n, n)], SPECS, vocabs=model.vocabs) for n in line] for line in lines]
    return pack(grids, [vocab.offset("pad") for vocab in model.vocabs.values()])


@every
def test_the_promise(kind):
    model = rough(build(KINDS[kind]))
    head, n = model.head, 3
    hidden, target, noise = torch.randn(n, 32), torch.randn(n, 4), torch.randn(n, 4)
    assert head.continuous
    assert head.rows == model.rows == tuple(row for group in head.groups for row in group)
    losses = head.vector_losses(hidden, "mel", target)
    assert losses.shape == (n,)
    losses.sum().backward()
    with torch.inference_mode():
        drawn = head.vector(hidden, "mel", noise)
        nats = head.vector_nats(hidden, "mel", target)
        assert drawn.shape == (n, 4)
        assert nats.shape == (n,)
        for i in range(n):  # a batch is what its members are
            torch.testing.assert_close(
                head.vector(hidden[i : i + 1], "mel", noise[i : i + 1])[0], drawn[i], atol=1e-5, rtol=1e-4
            )
            torch.testing.assert_close(
                head.vector_nats(hidden[i : i + 1], "mel", target[i : i + 1])[0], nats[i], atol=1e-4, rtol=1e-4
            )
        assert torch.equal(head.vector(hidden, "mel", noise), drawn)
        assert (kind == "regress") == torch.equal(head.vector(hidden, "mel", noise + 1), drawn)
    assert from_record(to_record(KINDS[kind])) == KINDS[kind]
    assert type(KINDS[kind].tiny()) is type(KINDS[kind])


def test_the_loss_of_regression_is_that_of_the_paper():
    model = rough(build(replace(KINDS["regress"], deltas=2)))
    hidden, target = torch.randn(5, 32), torch.randn(5, 4)
    error = (model.head.vector(hidden, "mel", target) - target).detach().numpy()

    def both(x):
        return (np.abs(x) + x**2).mean(-1)

    before = torch.tensor([-1, 0, 1, -1, 3])  # two clips: 0 1 2 and 3 4
    want = both(error) + both(np.diff(error, axis=1))
    for late, early in ((1, 0), (2, 1), (4, 3), (2, 0)):  # neighbours, and those two apart
        want[late] += both(error[late] - error[early])
    got = model.head.vector_losses(hidden, "mel", target, before)
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-4)
    plain = replace(KINDS["regress"], deltas=0).build(32, model.vocabs, model.embeddings, {"mel": 4})
    plain.load_state_dict(model.head.state_dict())
    np.testing.assert_allclose(
        plain.vector_losses(hidden, "mel", target, before).detach().numpy(), both(error), rtol=1e-4
    )


def test_the_prenet_is_for_the_streams_the_head_makes():
    model = build(KINDS["regress"])
    assert isinstance(model.values["speech"], torch.nn.Linear)
    assert [tuple(weight.shape) for weight in model.values["mel"].parameters()] == [(8, 4), (8,), (32, 8), (32,)]
    x = torch.ones(1, 4)
    model.train()
    assert not torch.equal(model.values["mel"](x), model.values["mel"](x))
    model.eval()
    assert torch.equal(model.values["mel"](x), model.values["mel"](x))
    assert isinstance(build(KINDS["flow"]).values["mel"], torch.nn.Linear)


@torch.no_grad()
def test_the_density_of_regression_is_a_gaussian():
    model = rough(build(KINDS["regress"]))
    hidden, target = torch.randn(3, 32), torch.randn(3, 4)
    normal = torch.distributions.Normal(model.head.vector(hidden, "mel", target), 1.0)
    torch.testing.assert_close(model.head.vector_nats(hidden, "mel", target).float(), normal.log_prob(target).sum(1))


@torch.no_grad()
@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_flow_that_stands_still_is_its_noise(solver):
    model = build(replace(KINDS["flow"], solver=solver))
    hidden, noise = torch.randn(5, 32), torch.randn(5, 4)
    assert torch.equal(model.head.vector(hidden, "mel", noise), noise)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(1)
    torch.testing.assert_close(model.head.vector_nats(hidden, "mel", noise).float(), normal)


def flow_of(width, **fields):
    """A flow over `width` numbers from one fixed hidden vector, of random weights."""
    torch.manual_seed(0)
    config = Flow(dim=16, layers=1, **fields)
    head = config.build(8, {}, torch.nn.ModuleDict(), {"mel": width})
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return head.eval()


@torch.no_grad()
@pytest.mark.parametrize("scale", [{}, {"mean": 0.5, "std": 0.7}])
def test_the_density_of_a_flow_is_one_in_all(scale):
    head = flow_of(2, steps=16, **scale)
    at = torch.linspace(-7, 7, 60)
    grid = torch.cartesian_prod(at, at)
    nats = head.vector_nats(torch.zeros(len(grid), 8), "mel", grid)
    assert float(nats.exp().sum()) * float(at[1] - at[0]) ** 2 == pytest.approx(1, abs=0.01)
    # It is the density of what is drawn: the mean of x and of x^2 under both.
    drawn = head.vector(torch.zeros(8_000, 8), "mel", torch.randn(8_000, 2))
    weight = (nats.exp() / nats.exp().sum()).float()[:, None]
    torch.testing.assert_close(drawn.mean(0), (grid * weight).sum(0), atol=0.04, rtol=0)
    torch.testing.assert_close(drawn.square().mean(0), (grid.square() * weight).sum(0), atol=0.1, rtol=0.05)


@torch.no_grad()
def test_probes_estimate_the_trace():
    heads = [flow_of(6, steps=4, probes=probes) for probes in (6, 5, 1)]
    hidden, target = torch.randn(200, 8), torch.randn(200, 6)
    exact, some, one = (head.vector_nats(hidden, "mel", target) for head in heads)
    assert 1e-3 < float((some - exact).square().mean()) < float((one - exact).square().mean())
    assert torch.equal(some, heads[1].vector_nats(hidden, "mel", target))
    # On average over many probes the estimate is the trace.
    weight = torch.randn(6, 6)
    signs = torch.randint(0, 2, (4000, 6)) * 2.0 - 1
    velocity, spread = _divergence(lambda x: torch.sin(x @ weight.T), target, signs)
    assert torch.equal(velocity, torch.sin(target @ weight.T))
    want = (torch.cos(target @ weight.T) * weight.diagonal()).sum(1)
    torch.testing.assert_close(spread, want, atol=0.5, rtol=0)
    assert abs(float((spread - want).mean())) < 0.05


def test_a_flow_learns_a_distribution_that_regression_cannot():
    """Vectors at +1 or -1: the mean, 0, is never right."""
    torch.manual_seed(0)
    flow = Flow(dim=32, layers=2, steps=20).build(4, {}, torch.nn.ModuleDict(), {"mel": 1})
    optimizer = torch.optim.AdamW(flow.parameters(), lr=3e-3)
    for _ in range(200):
        target = torch.randint(0, 2, (128, 1)) * 2.0 - 1 + 0.1 * torch.randn(128, 1)
        loss = flow.vector_losses(torch.zeros(128, 4), "mel", target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        drawn = flow.vector(torch.zeros(500, 4), "mel", torch.randn(500, 1))[:, 0]
        nats = flow.vector_nats(torch.zeros(3, 4), "mel", torch.tensor([[-1.0], [0.0], [1.0]]))
    assert float((drawn.abs() - 1).abs().median()) < 0.25
    assert 0.35 < float((drawn > 0).float().mean()) < 0.65
    assert float(nats[0]) > float(nats[1]) + 1
    assert float(nats[2]) > float(nats[1]) + 1


@every
def test_the_objective_adds_the_vectors_to_their_cells(kind):
    model = rough(build(KINDS[kind]))
    batch = batch_of(model, [(5, 3), (4,)])
    seeded = []
    for weights in ({}, {"mel": 3.0}, {"mel": 0.0}):
        torch.manual_seed(0)
        seeded.append(CrossEntropy(weights=weights).build(model, SPECS)(model, batch))
    plain, heavy, none = seeded
    cells = {"text": 9, "mel": 12, "end": 6}  # of three clips; 5 + 3 + 4 frames
    assert set(plain.parts) == set(cells)
    mean = sum(plain.parts[name] * n for name, n in cells.items()) / sum(cells.values())
    assert plain.total.item() == pytest.approx(mean, rel=1e-4)
    mean = (mean * 27 + 2 * 12 * plain.parts["mel"]) / (27 + 2 * 12)
    assert heavy.total.item() == pytest.approx(mean, rel=1e-4)
    none.total.backward()
    assert not any(bool(w.grad.any()) for n, w in model.head.named_parameters() if w.grad is not None and "mel" in n)
    model.zero_grad()
    plain.total.backward()
    assert any(bool(w.grad.any()) for n, w in model.head.named_parameters() if w.grad is not None and "mel" in n)


def test_differences_in_time_do_not_cross_clips():
    model = rough(build(replace(KINDS["regress"], dropout=0.0, streams=None)))
    apart = [CrossEntropy().build(model, SPECS)(model, batch_of(model, [(n,)])) for n in (5, 3)]
    packed = CrossEntropy().build(model, SPECS)(model, batch_of(model, [(5, 3)]))
    mean = sum(loss.parts["mel"] * n for loss, n in zip(apart, (5, 3), strict=True)) / 8
    assert packed.parts["mel"] == pytest.approx(mean, rel=1e-4)


@every
def test_it_replies_with_vectors(kind):
    model = rough(build(KINDS[kind]))
    prompt = {name: stream for name, stream in example().items() if name == "speech"}
    settings = {"sampler": Sampler(), "steps": 30, "least": {"text": 2, "mel": 4}}
    replies = complete(model, SAY, [[prompt]] * 2, SPECS, seeds=[0, 1], **settings)
    alone = complete(model, SAY, [[prompt]], SPECS, seeds=[1], **settings)
    for reply in replies:
        mel = reply.example["mel"]
        assert mel.values.shape == (len(mel), 4)
        assert np.isfinite(mel.values).all()
    np.testing.assert_allclose(replies[1].example["mel"].values, alone[0].example["mel"].values, atol=1e-4)


def test_what_is_wrong_is_said():
    with pytest.raises(
        BadInput, match=r"makes the stream 'f0', but the model's continuous streams are \['mel', 'speech'\]"
    ):
        build(Regress(streams=("f0",)))
    with pytest.raises(BadInput, match="at least 1 step, 1 repeat and 1 probe, but got 0, 1 and 8"):
        Flow(steps=0)
    with pytest.raises(BadInput, match="std=0"):
        Flow(std=0)
    model = build(KINDS["flow"])
    with pytest.raises(BadInput, match=r"the head does not make vectors of 'speech'"):
        model.head.vector(torch.zeros(1, 32), "speech", torch.zeros(1, 6))


def test_the_density_counts_in_nats():
    zero = torch.zeros(2, 3)
    assert gaussian(zero).tolist() == pytest.approx([-1.5 * math.log(2 * math.pi)] * 2)
    assert collate([SAY.place([example()], SPECS)], [14]).dense["mel"].values.shape == (5, 4)
