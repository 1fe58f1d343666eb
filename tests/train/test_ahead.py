"""Batches come in order whoever makes them, and the values of an update are read without waiting for each."""

import threading
import time

import numpy as np
import pytest
import torch

from oration.audio.io import write
from oration.core import Waveform
from oration.data.manifest import Clip
from oration.data.material import Material
from oration.train.ahead import AHEAD, Ahead
from oration.train.feed import Crops, Mix
from oration.train.values import Values


def test_one_batch_is_made_while_the_one_before_is_used():
    asked = []

    def batches(step):
        asked.append(step)
        return {"step": torch.tensor(step)}

    with Ahead(batches, 5, torch.device("cpu")) as ahead:
        assert [int(ahead.take()["step"]) for _ in range(4)] == [5, 6, 7, 8]
    assert asked in ([5, 6, 7, 8], [5, 6, 7, 8, 9])


def test_many_threads_give_the_same_order():
    names = set()

    def batches(step):
        names.add(threading.current_thread().name)
        time.sleep(0.02 if step % 3 == 0 else 0.0)
        return {"step": torch.tensor(step)}

    ahead = Ahead(batches, 0, torch.device("cpu"))
    ahead.pool.shutdown()
    ahead.pool, ahead.depth = type(ahead.pool)(4), AHEAD
    with ahead:
        assert [int(ahead.take()["step"]) for _ in range(40)] == list(range(40))
    assert len(names) > 1


def test_a_batch_that_fails_fails_when_it_is_taken():
    def batches(step):
        if step == 1:
            raise ValueError("no such clip")
        return {"step": torch.tensor(step)}

    with Ahead(batches, 0, torch.device("cpu")) as ahead:
        ahead.take()
        with pytest.raises(ValueError, match="no such clip"):
            ahead.take()


def test_recordings_are_shared_by_threads(tmp_path):
    clips = []
    for i in range(8):
        path = tmp_path / f"{i}.wav"
        write(Waveform(np.full(8000, 0.05 * (i + 1), np.float32), 16_000), path)
        clips.append(Clip(str(i), path, 0.5))
    room = 3 * 8000 * 4  # for three of them at a time
    alone, shared = (Crops(streams=("wave",), seconds=0.2, batch=6).batches(Material(clips, memory=room), Mix(), 0)
                     for _ in range(2))  # fmt: skip
    ahead = Ahead(shared, 0, torch.device("cpu"))
    ahead.pool.shutdown()
    ahead.pool, ahead.depth = type(ahead.pool)(4), AHEAD
    with ahead:
        for step in range(30):
            assert torch.equal(ahead.take()["wave"], alone(step)["wave"])


def test_values_come_back_in_order_with_their_names():
    values = Values(3)
    values.add({"loss": torch.tensor(2.5, requires_grad=True), "share": 0.1})
    values.add({"norm": torch.tensor(1.0, dtype=torch.bfloat16)}, "critic/")
    values.send()
    assert values.read() == {"loss": 2.5, "share": 0.1, "critic/norm": 1.0}
    assert list(values.read()) == ["loss", "share", "critic/norm"]
    assert Values(0).read() == {}


def test_values_are_those_of_their_update():
    buffer, values = torch.ones(()), Values(0)
    values.add({"seen": buffer})
    values.send()
    buffer += 1
    assert values.read() == {"seen": 1.0}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_values_of_a_gpu_come_over_together():
    values = Values(0)
    values.add({"loss": torch.tensor(2.5, device="cuda"), "host": torch.tensor(0.5), "plain": 3})
    values.send()
    assert values.read() == {"loss": 2.5, "host": 0.5, "plain": 3.0}
