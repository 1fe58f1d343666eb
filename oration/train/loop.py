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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from oration.core import Batch, Loss, OrationError
from oration.core.files import replace_file
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
        with self._interruptible(), Progress(self.stage.part, self.step, steps) as bar, ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.batches, self.step)
            while self.step < steps and not self._stop.is_set():
                batch, coming = coming.result(), ahead.submit(self.batches, self.step + 1)
                values = self._update(batch)
                log.write(self.step, values)
                bar.advance(values)
                self.step += 1
                if self.dev is not None and self.stage.dev_every and self._due(self.stage.dev_every):
                    held_out = self.measure()
                    log.write(self.step - 1, {f"dev/{name}": value for name, value in held_out.items()})
                    bar.note({f"dev {name}": value for name, value in held_out.items()})
                    self._keep(held_out["loss"])
                if self._due(self.stage.save_every):
                    self.save()
            coming.cancel()
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

    def _update(self, batch: Any) -> dict[str, float]:
        torch.manual_seed((self.stage.seed << 32) + self.step)
        self.part.train()
        self.objective.train()
        values: dict[str, float] = {}
        for group, loss in self._losses(batch):
            total = float(loss.total.detach())
            if not math.isfinite(total):
                self._refuse(group, total, loss)
            prefix = "" if group == "model" else f"{group}/"
            values |= {prefix + "loss": total} | {
                prefix + k: float(torch.as_tensor(v).detach()) for k, v in loss.parts.items()
            }
            if loss.total.requires_grad:
                values[prefix + "norm"] = self._descend(group, loss.total)
        return values

    def _losses(self, batch: Any) -> Iterator[tuple[str, Loss]]:
        """The objective's losses, each computed under autocast; between them the loop updates weights."""
        progress = self.step / self.stage.budget.steps
        losses = self.objective.losses(self.part, _to(batch, self.device), progress)  # type: ignore[operator]
        bf16 = self.stage.precision == "bf16"
        while True:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                item = next(losses, None)
            if item is None:
                return
            yield item

    def _descend(self, group: str, total: Tensor) -> float:
        optimizer, config = self.optimizers[group], self.stage.optimizer
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = float(nn.utils.clip_grad_norm_(self.groups[group], config.clip or math.inf))
        if not math.isfinite(norm):
            self._refuse(group, norm, None)
        lr = config.lr * self.stage.schedule.scale(self.step, self.stage.budget.steps)
        for settings in optimizer.param_groups:
            settings["lr"] = lr
        optimizer.step()
        return norm

    def _refuse(self, group: str, value: float, loss: Loss | None) -> None:
        parts = {k: round(float(torch.as_tensor(v).detach()), 4) for k, v in loss.parts.items()} if loss else {}
        saved = self.runs.complete()
        raise OrationError(
            f"the {group} {'loss' if loss else 'gradient norm'} of {self.stage.part!r} is {value} at step {self.step}"
            f"{f', parts {parts}' if parts else ''}, expected a number; nothing was saved after "
            f"{saved[-1].name if saved else 'the start'}, so lower the learning rate "
            "(--set training.N.optimizer.lr=...) or switch to precision=fp32 and run again"
        )

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Mean loss and parts over the same held-out batches every time."""
        assert self.dev is not None
        self.part.eval()
        self.objective.eval()
        sums: dict[str, float] = {}
        for number in range(self.stage.dev_batches):
            torch.manual_seed(number)
            for group, loss in self._losses(self.dev(number)):
                if group == "model":
                    for name, value in {"loss": loss.total, **loss.parts}.items():
                        sums[name] = sums.get(name, 0.0) + float(value)
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


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Batch):
        return batch.to(device)
    return {name: value.to(device) for name, value in batch.items()}


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
