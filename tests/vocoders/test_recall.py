"""The dictionary from vectors back to units: it finds what it heard, samples fairly, and says what does not fit."""

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream
from oration.objectives.remember import Remember
from oration.vocoders.recall import Recall

SPECS = {"words": Spec(1, 5, 6), "units": Spec(9, 50), "phones": Spec(4), "coarse": Spec(9, 12.5)}


def pairs(seed: int, clips: int = 4, segments: int = 8) -> dict[str, torch.Tensor]:
    """Vectors that follow from the units beside them."""
    generator = torch.Generator().manual_seed(seed)
    units = torch.randint(9, (clips, segments, 1), generator=generator).expand(-1, -1, 10).flatten(1)
    table = torch.randn(9, 6, generator=torch.Generator().manual_seed(99))
    return {
        "units": units,
        "words": table[units[:, ::10]] + 0.01 * torch.randn(clips, segments, 6, generator=generator),
    }


def test_it_finds_what_it_heard():
    torch.manual_seed(0)
    part = Recall(entries=64).build(SPECS)
    objective = Remember().build(part, SPECS)
    losses = [next(objective.losses(part, pairs(seed), 0.0))[1] for seed in range(3)]
    assert losses[0].total > 0.7
    assert losses[-1].total < 0.1
    assert losses[-1].parts["entries"] == 64
    data = pairs(50)
    (found,) = part.predict([{"words": Stream.dense(data["words"][0].numpy())}])
    assert np.array_equal(found["units"].ids, data["units"][0].numpy())
    assert "words" in found


def test_padding_is_not_remembered_and_held_out_clips_change_nothing():
    part = Recall(entries=64).build(SPECS)
    objective = Remember().build(part, SPECS)
    data = pairs(0)
    data["units"][:, 35:] = -1
    list(objective.losses(part, data, 0.0))
    assert int(part.seen) == 4 * 3
    objective.eval()
    list(objective.losses(part, pairs(1), 0.0))
    assert int(part.seen) == 12
    assert (part.values[:12] >= 0).all()


def test_early_and_late_segments_are_kept_alike():
    kept = []
    for seed in range(40):
        torch.manual_seed(seed)
        part = Recall(entries=8).build(SPECS)
        objective = Remember().build(part, SPECS)
        data = pairs(seed)
        data["words"][..., 0] = torch.arange(32.0).view(4, 8)
        list(objective.losses(part, data, 0.0))
        kept.append(part.keys[:, 0].numpy())
    assert np.mean(kept) == pytest.approx(15.5, abs=2)


def test_nothing_gives_nothing():
    part = Recall.tiny().build(SPECS)
    (found,) = part.predict([{"words": Stream.dense(np.zeros((0, 6)))}])
    assert len(found["units"]) == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Recall(entries=0), "entries >= 1"),
        (lambda: Recall(needs=("words", "units")), "one stream"),
        (lambda: Recall(needs=("thoughts",)).build(SPECS), "'thoughts', which nothing gives"),
        (lambda: Recall(needs=("units",)).build(SPECS), "width 0"),
        (lambda: Recall(gives="coarse").build(SPECS), "25/2"),
        (lambda: Recall().build(SPECS).predict([{"units": Stream(np.array([1]))}]), "continuous stream 'words'"),
        (lambda: Recall().build(SPECS).predict([{"words": Stream.dense(np.zeros((2, 5)))}]), "width 5, expected 6"),
        (lambda: Remember().build(torch.nn.Linear(1, 1), {}), "Linear"),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()
