"""The one training loop. It knows parts, objectives and batches, and neither speech nor recipes.

Everything random in step s derives from (seed, s), so a run that is killed anywhere and resumed gives the same losses,
bit for bit, as one that was not.
"""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from oration.core import Loss, OrationError
from oration.core.files import replace_file
from oration.train.ahead import Ahead, to_device
from oration.train.checkpoint import (
    RunFolder,
    load_optimizers,
    load_part,
    load_tensors,
    optimizer_tensors,
    read_json,
    save_tensors,
)
from oration.train.progress import Progress
from oration.train.stage import Train
from oration.train.values import Values

Batches = Callable[[int], Any]


class Loop:
    """Trains one part. `run()` resumes from the newest checkpoint in `folder`, if there is one."""

    def __init__(
        self,
        stage: Train,
        part: nn.Module,
        objective: nn.Module,
        batches: Batches,
        folder: Path,
        *,
        dev: Batches | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.stage, self.folder, self.device = stage, folder, torch.device(device)
        self.part, self.objective = part.to(self.device), objective.to(self.device)
        self.batches, self.dev = batches, dev
        self.groups: dict[str, list[nn.Parameter]] = objective.groups(part)  # type: ignore[operator]
        self.optimizers = {
            name: stage.optimizer.build(parameters)
            for name, parameters in self.groups.items()
            if any(p.requires_grad for p in parameters)
        }
        self.runs, self.step, self._stop = RunFolder(folder), 0, threading.Event()

    def run(self) -> None:
        """Train to the end of the budget, or until interrupted (then everything done so far is saved).

        Raises:
            OrationError: the loss is not a number, or the disk is full.
            KeyboardInterrupt: after the checkpoint of an interrupted run is written.
        """
        self._resume()
        log = Metrics(self.folder, self.step)
        steps = self.stage.budget.steps
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every batch has the same shapes
        parallel = bool(getattr(self.stage.feed, "parallel", False))
        ahead = Ahead(self.batches, self.step, self.device, parallel=parallel)
        with self._interruptible(), Progress(self.stage.part, self.step, steps) as bar, ahead:
            # An update is read when the next one has been launched, so that a GPU has no idle moment between them.
            unread: Values | None = None
            while self.step < steps and not self._stop.is_set():
                done, unread = unread, self._update(ahead.take())
                self._read(done, log, bar)
                self.step += 1
                measures = self.dev is not None and bool(self.stage.dev_every) and self._due(self.stage.dev_every)
                saves = self._due(self.stage.save_every)
                if measures or saves:
                    self._read(unread, log, bar)
                    unread = None
                if measures:
                    held_out = self.measure()
                    log.write(self.step - 1, {f"dev/{name}": value for name, value in held_out.items()})
                    bar.note({f"dev {name}": value for name, value in held_out.items()})
                    self._keep(held_out["loss"])
                if saves:
                    self.save()
            self._read(unread, log, bar)
        log.close()
        if self._stop.is_set():
            self.save()
            raise KeyboardInterrupt(f"stopped and saved at step {self.step} of {steps}; the same command resumes there")
        if self._best() is not None:
            load_part(self.part, self.folder / "best.safetensors")
        self.part.eval()

    def _best(self) -> float | None:
        """The lowest held-out loss so far, where the weights that had it are kept; None: the last ones are."""
        path = self.folder / "best.json"
        if self.stage.keep != "best" or not path.is_file():
            return None
        found = read_json(path)  # of a step that a killed run had reached, and this one has not yet: it will again
        return float(found["loss"]) if found["step"] <= self.step else None

    def _keep(self, loss: float) -> None:
        best = self._best()
        if self.stage.keep == "best" and (best is None or loss < best):
            save_tensors(self.folder / "best.safetensors", self.part.state_dict())
            replace_file(self.folder / "best.json", json.dumps({"step": self.step, "loss": loss}))

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.stage.budget.steps

    def _update(self, batch: Any) -> Values:
        torch.manual_seed((self.stage.seed << 32) + self.step)
        self.part.train()
        self.objective.train()
        values = Values(self.step)
        for group, loss in self._losses(batch):
            prefix = "" if group == "model" else f"{group}/"
            values.add({"loss": loss.total, **loss.parts}, prefix)
            if loss.total.requires_grad:
                values.add({"norm": self._descend(group, loss.total)}, prefix)
        values.send()
        return values

    def _read(self, update: Values | None, log: Metrics, bar: Progress) -> None:
        """Log an update, and see that its losses are numbers."""
        if update is None:
            return
        values = update.read()
        for group in self.groups:
            prefix = "" if group == "model" else f"{group}/"
            for name in ("loss", "norm"):
                if not math.isfinite(values.get(prefix + name, 0.0)):
                    self._refuse(update.step, group, name, values)
        log.write(update.step, values)
        bar.advance(values)
        alarm = getattr(self.objective, "alarm", None)
        if alarm is not None and (sentence := alarm(values)):
            bar.warn(sentence)

    def _losses(self, batch: Any) -> Iterator[tuple[str, Loss]]:
        """The objective's losses, each computed under autocast; between them the loop updates weights."""
        progress = self.step / self.stage.budget.steps
        losses = self.objective.losses(self.part, to_device(batch, self.device), progress)  # type: ignore[operator]
        bf16 = self.stage.precision == "bf16"
        while True:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                item = next(losses, None)
            if item is None:
                return
            yield item

    def _descend(self, group: str, total: Tensor) -> Tensor:
        optimizer, config = self.optimizers[group], self.stage.optimizer
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.groups[group], config.clip or math.inf)
        lr = config.lr * self.stage.schedule.scale(self.step, self.stage.budget.steps)
        for settings in optimizer.param_groups:
            settings["lr"] = lr
        optimizer.step()
        # torch's fused step changes weights without saying so, and layers remember what they made of them.
        torch.autograd.graph.increment_version(self.groups[group])
        return norm

    def _refuse(self, step: int, group: str, name: str, values: dict[str, float]) -> None:
        prefix = "" if group == "model" else f"{group}/"
        parts = {k: round(v, 4) for k, v in values.items() if k.startswith(prefix) and k != prefix + name}
        saved = self.runs.complete()
        raise OrationError(
            f"the {group} {'loss' if name == 'loss' else 'gradient norm'} of {self.stage.part!r} is "
            f"{values[prefix + name]} at step {step}{f', parts {parts}' if parts else ''}, expected a number; nothing "
            f"was saved after {saved[-1].name if saved else 'the start'}, so lower the learning rate "
            "(--set training.N.optimizer.lr=...) or switch to precision=fp32 and run again"
        )

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Mean loss and parts over the same held-out batches every time."""
        assert self.dev is not None
        self.part.eval()
        self.objective.eval()
        found = []
        for number in range(self.stage.dev_batches):
            torch.manual_seed(number)
            for group, loss in self._losses(self.dev(number)):
                if group == "model":
                    found.append(Values(number))
                    found[-1].add({"loss": loss.total, **loss.parts})
                    found[-1].send()
        sums: dict[str, float] = {}
        for values in found:
            for name, value in values.read().items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / self.stage.dev_batches for name, value in sums.items()}

    def save(self) -> None:
        def write(folder: Path) -> None:
            save_tensors(folder / "part.safetensors", self.part.state_dict())
            save_tensors(folder / "objective.safetensors", self.objective.state_dict())
            save_tensors(folder / "optimizer.safetensors", optimizer_tensors(self.optimizers))
            replace_file(folder / "state.json", json.dumps({"step": self.step}))

        self.runs.save(self.step, write)

    def _resume(self) -> None:
        saved = self.runs.complete()
        if not saved:
            return
        folder = saved[-1]
        self.step = int(read_json(folder / "state.json")["step"])
        load_part(self.part, folder / "part.safetensors")
        load_part(self.objective, folder / "objective.safetensors")
        load_optimizers(self.optimizers, load_tensors(folder / "optimizer.safetensors"))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the update in progress."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop.set()

        old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class Metrics:
    """One JSON object a line; TensorBoard too, where it is installed. Lines past the resumed step are taken back."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            replace_file(path, "".join(line for line in lines if _step(line) < step))
        self.file = path.open("a", encoding="utf-8")
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        except ImportError:
            pass

    def write(self, step: int, values: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self.file.flush()
        if self.board is not None and step % 10 == 0:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError):
        return math.inf  # a line cut short by the kill
