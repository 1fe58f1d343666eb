import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import Spec, Stream
from oration.objectives.prosody import ProsodyLoss, Runs
from oration.vocoders import Prosody

SPECS = {"units": Spec(4, 50), "units.runs": Spec(4), "f0": Spec(9, 100)}


ROW = st.lists(st.integers(0, 2), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=3), longest=st.integers(1, 4))
def test_runs_agree_with_a_slow_count(rows, longest):
    size = max(map(len, rows))
    units = torch.tensor([row + [-1] * (size - len(row)) for row in rows])
    found = Runs(units, longest)
    for b, row in enumerate(rows):
        runs = []
        for unit in row:
            if runs and runs[-1][0] == unit and runs[-1][1] < longest:
                runs[-1][1] += 1
            else:
                runs.append([unit, 1])
        n = len(runs)
        assert found.runs[b, :n].tolist() == [unit for unit, _ in runs]
        assert (found.runs[b, n:] == -1).all()
        assert found.valid[b, :, 0].sum() == n
        wanted = [length - 1 if 0 < at < n - 1 else -1 for at, (_, length) in enumerate(runs)]
        assert found.targets[b, :n].tolist() == wanted
        at = 0
        for number, (_, length) in enumerate(runs):
            span = slice(at, at + length)
            assert (found.run[b, span] == number).all()
            assert found.since[b, span].tolist() == list(range(length))
            assert found.until[b, span].tolist() == list(range(length))[::-1]
            at += length


def rhythm(size, runs=12):
    """Unit u lasts u + 1 frames; its pitch is bin 2 u, and unit 3 has no voice."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(size):
        units = rng.integers(0, 4, runs)
        units = units[np.insert(np.diff(units) != 0, 0, True)]
        rows.append(np.repeat(units, units + 1))
    frames = max(map(len, rows))
    units = np.stack([np.pad(row, (0, frames - len(row)), constant_values=-1) for row in rows])
    f0 = np.repeat(np.where(units < 0, -1, np.where(units == 3, 8, units * 2)), 2, 1)
    return {"units": torch.from_numpy(units), "f0": torch.from_numpy(f0)}


def test_it_learns_a_simple_rhythm_and_speaks_it():
    torch.manual_seed(0)
    part = Prosody.tiny().build(SPECS)
    objective = ProsodyLoss().build(part, SPECS)
    optimizer = torch.optim.AdamW(objective.groups(part)["model"], 1e-2)
    data = rhythm(6)
    losses = []
    for _ in range(150):
        for _, loss in objective.losses(part, data, 0.0):
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.2 * losses[0]
    (said,) = part.predict([{"units.runs": Stream(np.array([0, 2, 1, 3, 1]))}])
    assert said["units.durations"].ids[1:-1].tolist() == [2, 1, 3]
    assert said["f0"].ids[2:8].tolist() == [4] * 6
    assert (said["f0"].ids[12:20] == 8).all()


def test_padding_does_not_change_the_loss():
    torch.manual_seed(0)
    part = Prosody.tiny().build(SPECS).eval()
    objective = ProsodyLoss().build(part, SPECS)
    data = rhythm(2)
    more = {name: torch.nn.functional.pad(t, (0, 6 if name == "units" else 12), value=-1) for name, t in data.items()}
    (_, plain), (_, padded) = next(objective.losses(part, data, 0.0)), next(objective.losses(part, more, 0.0))
    torch.testing.assert_close(plain.total, padded.total)
