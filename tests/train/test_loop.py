"""The loop: killed anywhere and resumed it gives the same losses bit for bit; it stops on NaN; nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from oration.core import BadInput, Loss, OrationError
from oration.core.files import replace_file
from oration.train.checkpoint import RunFolder, load_part, load_tensors, save_tensors
from oration.train.feed import Crops
from oration.train.loop import Loop
from oration.train.optim import AdamW, Constant, Cosine, InverseSqrt, Steps
from oration.train.stage import Train


class Game(nn.Module):
    """A two-player objective with dropout and a buffer: everything that a resume could lose."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Linear(4, 1)
        self.register_buffer("seen", torch.zeros(()))

    def groups(self, part):
        return {"model": list(part.parameters()), "critic": list(self.critic.parameters())}

    def losses(self, part, batch, progress):
        x = nn.functional.dropout(batch["x"], 0.3, self.training)
        if self.training:
            self.seen += 1
        yield "critic", Loss((self.critic(x) - self.critic(part(x).detach())).square().mean())
        error = (part(x) - batch["y"]).square().mean()
        yield "model", Loss(error + 0.01 * self.critic(part(x)).mean(), {"error": error, "seen": float(self.seen)})


def batches(step):
    g = torch.Generator().manual_seed(step)
    x = torch.randn(8, 4, generator=g)
    return {"x": x, "y": x.flip(1)}


def stage(steps, precision="fp32", **fields):
    feed = Crops(streams=("wave",), seconds=1.0, batch=1)
    return Train(
        part="toy",
        objective=None,
        feed=feed,
        budget=Steps(steps),
        precision=precision,
        optimizer=AdamW(lr=1e-2),
        **fields,
    )


def loop(folder, steps, **fields):
    torch.manual_seed(0)
    part, game = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 4)), Game()
    return Loop(
        stage(steps, save_every=5, dev_every=6, dev_batches=2, **fields), part, game, batches, folder, dev=batches
    )


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_and_logs(tmp_path):
    run = loop(tmp_path, 300)
    run.run()
    metrics = [m for m in lines(tmp_path) if "error" in m]
    assert len(metrics) == 300
    assert metrics[-1]["error"] < 0.5 * metrics[0]["error"]
    assert {"loss", "critic/loss", "norm", "critic/norm", "seen"} <= metrics[0].keys()
    assert [m["step"] for m in lines(tmp_path) if "dev/loss" in m] == [5 + 6 * i for i in range(50)]
    assert [p.name for p in RunFolder(tmp_path).complete()] == ["step-00000300"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_and_resumed_equals_never_killed(tmp_path, precision):
    whole = loop(tmp_path / "whole", 23, precision=precision)
    whole.run()
    # A process that kills itself with SIGKILL in the middle of step 17: two steps past its last checkpoint.
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_loop
from dataclasses import replace
from pathlib import Path
def deadly(step):
    if step == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    return test_loop.batches(step)
run = test_loop.loop(Path({str(tmp_path / "killed")!r}), 23, precision={precision!r})
run.batches = deadly
run.run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again = loop(tmp_path / "killed", 23, precision=precision)
    again.run()
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    for a, b in zip(whole.part.state_dict().values(), again.part.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.objective.state_dict().values(), again.objective.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_polite_stop_saves_first(tmp_path):
    run = loop(tmp_path, 10_000)

    def stopping(step):
        if step == 12:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        return batches(step)

    run.batches = stopping
    with pytest.raises(KeyboardInterrupt, match="the same command resumes there"):
        run.run()
    assert RunFolder(tmp_path).complete()[-1].name == f"step-{run.step:08d}"
    assert 11 <= run.step <= 14


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    run = loop(tmp_path, 20)

    def poisoned(step):
        batch = batches(step)
        return {**batch, "y": batch["y"] / 0} if step == 7 else batch

    run.batches = poisoned
    with pytest.raises(
        OrationError, match=r"model loss of 'toy' is (inf|nan) at step 7.*after step-00000005.*lower the learning rate"
    ):
        run.run()
    assert RunFolder(tmp_path).complete()[-1].name == "step-00000005"


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path):
    run = loop(tmp_path, 5)
    run.run()
    good = load_tensors(tmp_path / "step-00000005" / "part.safetensors")

    def full(folder):
        (folder / "part.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OrationError, match="No space left on device.*the earlier one is untouched"):
        run.runs.save(6, full)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".step", "step"))] == ["step-00000005"]
    assert all(
        torch.equal(good[k], v) for k, v in load_tensors(tmp_path / "step-00000005" / "part.safetensors").items()
    )


def test_a_file_too_large_for_the_disk_leaves_no_part_of_itself(tmp_path):
    """A real limit of the operating system on file size stands in for a full disk."""
    code = f"""
import resource, signal, torch
from dataclasses import replace
from pathlib import Path
from oration.core import OrationError
from oration.train.checkpoint import save_tensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_tensors(Path({str(tmp_path / "w.safetensors")!r}), {{"x": torch.ones(1_000_000)}})
except OrationError as e:
    print(e)
"""
    save_tensors(tmp_path / "w.safetensors", {"x": torch.zeros(3)})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "what was saved before is untouched" in done.stdout, done.stderr
    assert load_tensors(tmp_path / "w.safetensors")["x"].tolist() == [0, 0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "ulm.safetensors"
    save_tensors(path, {"x": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"ulm.safetensors \(2000 bytes\).*truncated or damaged"):
        load_tensors(path)


def test_weights_of_another_recipe_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_tensors(path, nn.Linear(3, 4).state_dict())
    with pytest.raises(BadInput, match="belongs to another recipe"):
        load_part(nn.Sequential(nn.Linear(3, 4)), path)
    with pytest.raises(BadInput, match=r"has shape .*, expected \[5"):
        load_part(nn.Linear(3, 5), path)


def test_half_precision_weights_load_into_a_full_precision_part(tmp_path):
    path, part = tmp_path / "w.safetensors", nn.Linear(3, 4)
    save_tensors(path, part.state_dict(), torch.float16)
    other = nn.Linear(3, 4)
    load_part(other, path)
    assert other.weight.dtype == torch.float32
    assert torch.allclose(other.weight, part.weight, atol=1e-3)


def test_a_text_file_is_old_or_new(tmp_path):
    replace_file(tmp_path / "a.json", "old")
    with pytest.raises(TypeError):
        replace_file(tmp_path / "a.json", 3)
    assert (tmp_path / "a.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_schedules():
    assert [round(Cosine(warmup=2, final=0.1).scale(s, 10), 3) for s in (0, 1, 2, 6, 10)] == [0.5, 1.0, 1.0, 0.55, 0.1]
    assert InverseSqrt(warmup=4).scale(0, 0) == 0.25
    assert InverseSqrt(warmup=4).scale(15, 0) == 0.5
    assert Constant(warmup=2).scale(0, 0) == 0.5
    assert Constant().scale(9, 0) == 1.0


def test_the_best_weights_are_kept_where_asked(tmp_path):
    """The held-out targets are those of the tenth update; whoever goes on leaves them behind."""

    class Drift(nn.Module):
        def groups(self, part):
            return {"model": list(part.parameters())}

        def losses(self, part, batch, progress):
            yield "model", Loss((part(batch["x"]) - batch["y"]).square().mean())

    def target(step):
        return {"x": torch.ones(1, 1), "y": torch.full((1, 1), float(step))}

    kept = {}
    for keep in ("last", "best"):
        torch.manual_seed(0)
        part = nn.Linear(1, 1)
        settings = stage(40, dev_every=5, dev_batches=1, keep=keep, schedule=Constant())
        settings = replace(settings, optimizer=AdamW(lr=0.05))
        loop = Loop(settings, part, Drift(), target, tmp_path / keep, dev=lambda number: target(1))
        loop.run()
        kept[keep] = float(loop.measure()["loss"])
    measured = [json.loads(line) for line in (tmp_path / "best" / "metrics.jsonl").read_text().splitlines()]
    best = min(line["dev/loss"] for line in measured if "dev/loss" in line)
    assert kept["best"] == pytest.approx(best, abs=1e-4)
    assert kept["best"] < 0.5 * kept["last"]


def test_weights_in_eight_bits_are_a_quarter_as_large_and_nearly_the_same(tmp_path):
    torch.manual_seed(0)
    part = nn.ModuleDict({"wide": nn.Linear(256, 512), "narrow": nn.Linear(8, 4), "conv": nn.Conv1d(16, 32, 5)})
    part.register_buffer("count", torch.arange(3))
    with torch.no_grad():
        part["wide"].weight[7] = 0  # a row of nothing has no scale of its own
        part["wide"].weight[8] *= 100
    save_tensors(tmp_path / "full.safetensors", part.state_dict())
    save_tensors(tmp_path / "small.safetensors", part.state_dict(), torch.int8)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "full")]
    assert sizes[0] < 0.28 * sizes[1]
    other = nn.ModuleDict({"wide": nn.Linear(256, 512), "narrow": nn.Linear(8, 4), "conv": nn.Conv1d(16, 32, 5)})
    other.register_buffer("count", torch.zeros(3, dtype=torch.long))
    load_part(other, tmp_path / "small.safetensors")
    for (name, found), wanted in zip(other.state_dict().items(), part.state_dict().values(), strict=True):
        rows = wanted.float().abs().amax(tuple(range(1, wanted.ndim)), keepdim=True) if wanted.ndim > 1 else wanted
        assert (found - wanted).abs().le(rows.abs() / 200 + 1e-9).all(), name


def test_layers_that_remember_their_weights_see_every_update(tmp_path):
    """torch's fused optimizers leave the version counters of weights alone."""
    from oration.nn.conv import Conv

    part = nn.ModuleDict({"conv": Conv(1, 1, 3)})

    class Objective(nn.Module):
        def groups(self, part):
            return {"model": list(part.parameters())}

        def losses(self, part, batch, progress):
            yield "model", Loss(part["conv"](batch["x"]).square().mean())

    stage = Train(
        part="conv", feed=None, objective=None, budget=Steps(12), dev_every=3, dev_batches=1, precision="fp32"
    )
    batches = lambda step: {"x": torch.ones(1, 8, 1)}  # noqa: E731
    loop = Loop(stage, part, Objective(), batches, tmp_path, dev=batches)
    loop.optimizers["model"].param_groups[0]["lr"] = 0.1
    loop.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    held_out = [line["dev/loss"] for line in lines if "dev/loss" in line]
    trained = [line["loss"] for line in lines if "loss" in line]
    assert held_out == sorted(held_out, reverse=True)
    assert held_out[0] == pytest.approx(trained[3], rel=1e-5)  # what the update after it begins with
