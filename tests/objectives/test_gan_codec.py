"""The objective of codecs: it trains one, weighs and logs what a codec brings, and warns of collapsed codebooks."""

import json
import math
from dataclasses import replace

import pytest
import torch

from oration.codecs import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.core import BadInput, Spec, from_record, to_record
from oration.nn.quantize import Rvq
from oration.objectives.codebooks import PATIENCE, CodebookUse
from oration.objectives.distil import Distil
from oration.objectives.gan import DAC_GAN, ENCODEC_GAN, Gan
from oration.objectives.noisy import Noisy
from oration.objectives.spectral import Distance
from oration.train.feed import Crops
from oration.train.loop import Loop
from oration.train.optim import AdamW, Constant, Steps
from oration.train.stage import Train
from oration.vocoders.discriminators import MultiBandStft, MultiPeriod, MultiResolutionStft, MultiScale

SIZES = {"dim": 8, "filters": 4, "ratios": (8, 8), "lstm": 0}
SPECS = {"units": Spec(7, 50), "speech": Spec(1, 25, 5)}
EVERYTHING = replace(
    Gan.tiny(),
    distance=Distance(ffts=(256,), bands=(20,), wave=1.0),
    critics=(MultiPeriod.tiny(), MultiScale.tiny(), MultiResolutionStft.tiny(), MultiBandStft.tiny()),
    adversarial_from=0.0,
    own={"commitment": 0.5},
    noisy=Noisy(),
    distil=Distil(stream="units"),
)


def codec(**quantizer):
    rvq = Rvq(levels=2, size=16, pool=1, **quantizer)
    return Codec(encoder=(SeaNetEncoder(**SIZES),), quantizer=rvq, decoder=(SeaNetDecoder(**SIZES),), dim=8, rate=16000)


def batch(step=0, rows=3, seconds=0.2):
    chance = torch.Generator().manual_seed(step)
    hertz = 150 + 800 * torch.rand(rows, 1, generator=chance)
    time = torch.arange(round(seconds * 16000)) / 16000
    return {
        "wave": 0.3 * torch.sin(2 * torch.pi * hertz * time) * (1 + torch.sin(2 * torch.pi * 7 * time)),
        "units": torch.randint(0, 7, (rows, round(50 * seconds)), generator=chance),
        "speech": torch.randn(rows, round(25 * seconds), 5, generator=chance),
    }


def start(gan, seed=0, lr=3e-3, **quantizer):
    torch.manual_seed(seed)
    part = codec(**quantizer).build()
    objective = gan.build(part, SPECS)
    optimizers = {name: torch.optim.AdamW(group, lr) for name, group in objective.groups(part).items() if group}
    return part, objective, optimizers


def step(objective, part, optimizers, data, progress=0.5):
    seen = {}
    for group, loss in objective.losses(part, data, progress):
        seen[group] = {name: float(value) for name, value in loss.parts.items()} | {"loss": float(loss.total.detach())}
        optimizers[group].zero_grad()
        loss.total.backward()
        optimizers[group].step()
    return seen


@pytest.mark.parametrize(("balance", "verdict", "commitment"), [(False, "squares", 0.5), (True, "hinge", 30.0)])
def test_it_brings_a_codec_nearer_with_everything_at_once(balance, verdict, commitment):
    gan = replace(EVERYTHING, balance=balance, verdict=verdict, own={"commitment": commitment})
    part, objective, optimizers = start(gan)
    data = batch()
    found = [step(objective, part, optimizers, data) for _ in range(25)]
    assert all(list(each) == ["critic", "model"] for each in found)
    first, last = (
        sum(each["model"][name] for each in some for name in ("wave", "mel")) for some in (found[:3], found[-3:])
    )
    assert last < 0.9 * first
    names = {"wave", "mel", "stft", "sc", "adversarial", "features", "commitment", "distil", "kbps"}
    assert names | {f"codes/codec.{i}/{n}" for i in (0, 1) for n in ("use", "perplexity", "kbps")} <= set(
        found[-1]["model"]
    )


def test_regression_alone_runs_no_critic():
    part, objective, optimizers = start(Gan(distance=Distance(ffts=(256,), wave=1.0), critics=()))
    assert objective.groups(part)["critic"] == []
    assert list(step(objective, part, optimizers, batch(), 1.0)) == ["model"]


def test_the_weights_of_its_own_losses_count():
    totals = {}
    for weight in (0.0, 1.0, 3.0):
        part, objective, _ = start(replace(EVERYTHING, critics=(), noisy=None, distil=None, own={"commitment": weight}))
        for _ in range(3):  # the codewords have then begun
            torch.manual_seed(1)
            (_, loss), *_ = objective.losses(part, batch(), 0.0)
        totals[weight] = (float(loss.total.detach()), float(loss.parts["commitment"]))
    commitment = totals[0.0][1]
    assert commitment > 0
    assert totals[3.0][0] - totals[0.0][0] == pytest.approx(3 * commitment, rel=0.01)
    part, objective, _ = start(replace(EVERYTHING, own={"comitment": 1.0}))
    with pytest.raises(BadInput, match=r"own weighs the loss 'comitment', but the part has \['commitment'\]"):
        list(objective.losses(part, batch(), 0.0))


def test_without_balance_the_gradient_is_that_of_the_sum():
    """What goes back through the leaf is what plain autograd would give."""
    gan = replace(EVERYTHING, critics=(), noisy=None, distil=None)
    part, objective, _ = start(gan)
    part.eval()  # so that two passes are the same
    data = batch()
    (_, loss), *_ = objective.losses(part, data, 0.0)
    loss.total.backward()
    found = [p.grad.clone() for p in part.parameters() if p.grad is not None]
    for p in part.parameters():
        p.grad = None
    terms = objective.spectral(part(data).wave, data["wave"])
    total = sum(objective.weights[name] * term for name, term in terms.items())
    assert float(total.detach()) == pytest.approx(float(loss.total.detach()), rel=1e-5)
    total.backward()
    plain = [p.grad for p in part.parameters() if p.grad is not None]
    assert len(found) == len(plain) > 10
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_each_loss_touches_its_own_group_only():
    part, objective, _ = start(EVERYTHING)
    groups = objective.groups(part)
    for group, loss in objective.losses(part, batch(), 0.9):
        for parameter in (*groups["model"], *groups["critic"]):
            parameter.grad = None
        loss.total.backward()
        other = "critic" if group == "model" else "model"
        assert all(p.grad is None for p in groups[other])
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in groups[group])


def test_critics_may_learn_less_often():
    part, objective, _ = start(replace(Gan.tiny(), critics=(MultiPeriod.tiny(),), critic_share=0.5))
    torch.manual_seed(0)
    with torch.no_grad():
        learned = sum("critic" in dict(objective.losses(part, batch(rows=1), 1.0)) for _ in range(30))
    assert 5 < learned < 25


def test_measuring_needs_no_gradient():
    part, objective, _ = start(EVERYTHING)
    part.eval(), objective.eval()
    before = objective.state_dict()["use.count0"].clone()
    with torch.no_grad():
        found = dict(objective.losses(part, batch(), 0.9))
    assert torch.isfinite(found["model"].total)
    assert torch.equal(before, objective.state_dict()["use.count0"])


def test_bfloat16_trains_too():
    part, objective, optimizers = start(replace(EVERYTHING, balance=True))
    with torch.autocast("cpu", torch.bfloat16):
        for group, loss in objective.losses(part, batch(), 0.9):
            assert loss.total.dtype == torch.float32
            loss.total.backward()
            assert all(torch.isfinite(p.grad).all() for p in objective.groups(part)[group] if p.grad is not None)
            optimizers[group].step()


def test_killed_and_resumed_equals_never_killed(tmp_path):
    def loop(folder, steps):
        torch.manual_seed(0)
        part = codec(dropout=0.5, start="given").build()
        objective = replace(EVERYTHING, balance=True, critic_share=0.7)
        stage = Train(
            part="codec",
            objective=objective,
            feed=Crops(streams=("wave",), seconds=0.2, batch=3),
            budget=Steps(steps),
            schedule=Constant(),
            optimizer=AdamW(lr=1e-3),
            save_every=3,
            dev_every=4,
            dev_batches=1,
        )
        return Loop(stage, part, objective.build(part, SPECS), batch, folder, dev=batch)

    whole = loop(tmp_path / "whole", 7)
    whole.run()
    cut = loop(tmp_path / "cut", 7)

    def deadly(number):
        if number == 5:
            raise OSError("the machine is gone")
        return batch(number)

    cut.batches = deadly
    with pytest.raises(OSError, match="the machine is gone"):
        cut.run()
    again = loop(tmp_path / "cut", 7)
    again.run()
    logs = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert list(map(json.loads, logs[0])) == list(map(json.loads, logs[1]))
    states = ((run.part.state_dict(), run.objective.state_dict()) for run in (whole, again))
    for a, b in zip(*states, strict=True):
        for name, tensor in a.items():
            assert torch.equal(tensor, b[name]), name


def test_use_is_counted_over_many_batches_and_left_out_codes_are_not():
    use = CodebookUse({"codec.0": Spec(8, 50), "codec.1": Spec(8, 50)})
    use.train()
    for code in range(4):
        values = use([torch.full((2, 5), code), torch.full((2, 5), -1)])
    assert float(values["codes/codec.0/use"]) == 0.5
    assert float(values["codes/codec.0/perplexity"]) == pytest.approx(4, rel=0.01)
    assert float(values["codes/codec.0/kbps"]) == pytest.approx(0.1, rel=0.01)
    assert float(values["codes/codec.1/use"]) == 0
    assert float(values["kbps"]) == pytest.approx(0.1, rel=0.01)
    for _ in range(700):
        values = use([torch.full((2, 5), 7)])
    assert float(values["codes/codec.0/use"]) == 1 / 8
    counted = use.count0.clone()
    use.eval()
    assert float(use([torch.zeros(1, 3, dtype=torch.long)])["codes/codec.0/use"]) == 1 / 8
    assert torch.equal(counted, use.count0)


def test_the_alarm_is_one_sentence_and_comes_once():
    use = CodebookUse({"codec.0": Spec(1024, 50), "codec.1": Spec(1024, 50)})
    healthy = {"use": 1.0, "perplexity": 600.0}

    def values(**first):
        both = {"codec.0": healthy | first, "codec.1": healthy}
        return {f"codes/{name}/{k}": v for name, each in both.items() for k, v in each.items()}

    said = [use.alarm(values(use=0.05)) for _ in range(PATIENCE - 1)]
    assert said == [None] * (PATIENCE - 1)
    assert use.alarm(values()) is None  # in time
    said = [use.alarm(values(perplexity=3.0)) for _ in range(2 * PATIENCE)]
    sentence = "the codebook of 'codec.0' has collapsed: for 500 updates it has used 100.0% of its 1024 codewords"
    assert said[PATIENCE - 1].startswith(sentence)
    assert [s for i, s in enumerate(said) if i != PATIENCE - 1] == [None] * (2 * PATIENCE - 1)


def test_the_loop_says_the_alarm(tmp_path, capsys):
    class Alarmed(torch.nn.Module):
        def groups(self, part):
            return {"model": list(part.parameters())}

        def losses(self, part, batch, progress):
            from oration.core import Loss

            yield "model", Loss(part(batch["x"]).square().mean())

        def alarm(self, values):
            return "all is lost" if values["loss"] < math.inf else None

    feed = Crops(streams=("wave",), seconds=0.2, batch=3)
    stage = Train(part="toy", objective=None, feed=feed, budget=Steps(1))
    Loop(stage, torch.nn.Linear(2, 1), Alarmed(), lambda step: {"x": torch.ones(1, 2)}, tmp_path).run()
    assert "toy: warning: all is lost" in capsys.readouterr().err


def test_the_named_values_build_and_are_written_down():
    for gan in (ENCODEC_GAN, DAC_GAN, EVERYTHING):
        assert from_record(to_record(gan)) == gan
        model = gan.build(codec().build(), SPECS)
        wave = torch.randn(1, 4000) * 0.1
        assert all(torch.isfinite(term) and term > 0 for term in model.spectral(wave * 0.5, wave).values())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(BadInput, match=r"4 resolutions .* but 2 numbers of bands"):
        Distance(bands=(80, 80))
    with pytest.raises(BadInput, match="distil teaches the first level of a codec, but Linear has none"):
        replace(Gan.tiny(), distil=Distil()).build(torch.nn.Linear(2, 2), SPECS)
    with pytest.raises(BadInput, match=r"distillation needs the stream 'hubert', but the data gives \['speech', 'un"):
        replace(Gan.tiny(), distil=Distil(stream="hubert")).build(codec().build(), SPECS)


def test_only_the_decoder_learns_for_codes_that_stay():
    """AudioDec's second stage."""
    part, objective, optimizers = start(replace(EVERYTHING, distil=None, own={}))
    for number in range(3):
        step(objective, part, optimizers, batch(number))
    objective = replace(EVERYTHING, distil=None, only="decoder").build(part, SPECS)
    groups = objective.groups(part)
    assert {id(p) for p in groups["model"]} == {id(p) for p in part.decoder.parameters()}
    before = {name: value.clone() for name, value in part.state_dict().items()}
    optimizers = {name: torch.optim.AdamW(group, 3e-3) for name, group in groups.items()}
    part.train()
    step(objective, part, optimizers, batch(9))
    moved = {
        name.partition(".")[0] for name, value in part.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"decoder"}
