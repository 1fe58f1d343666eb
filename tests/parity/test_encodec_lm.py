"""The LM of EnCodec's entropy coder against its authors': the same weights expect the same codes, whole and live."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.core import Spec, Stream, collate
from oration.core.released import load_released
from oration.layouts import Layout, Stack
from oration.lms import RecentTransformer
from oration.lms.released_encodec import package
from oration.recipe import find

AUDIO = ("torchaudio", "torchaudio.functional", "torchaudio.functional.functional")
LEVELS, SIZE, FRAMES = 3, 16, 30
PUBLISHED = find("encodec_24k_lm").lms[0]
TASK = PUBLISHED.tasks[0]
NAMES = TASK.predict[:LEVELS]
SMALL = replace(
    PUBLISHED,
    tasks=(replace(TASK, operations=(), layout=Layout((Stack(NAMES, end="never"),)), predict=NAMES),),
    body=RecentTransformer(layers=2, dim=24, heads=4, ffn=96, back=7),
)
SPECS = {name: Spec(SIZE, 75) for name in NAMES}


@cache
def theirs():
    model = reference("encodec.model", *AUDIO).LMModel(
        LEVELS, SIZE, num_layers=2, dim=24, num_heads=4, hidden_scale=4.0, past_context=7
    )
    torch.manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.4)
    return model.eval()


@torch.no_grad()
@pytest.mark.parity("encodec_24k_lm", reference="encodec 0.1.1")
def test_it_expects_what_its_authors_does(tmp_path):
    save_file({name: tensor.clone() for name, tensor in theirs().state_dict().items()}, tmp_path / "lm.safetensors")
    model = SMALL.build(SPECS).eval()
    load_released(model, tmp_path, package(model))
    ids = torch.randint(SIZE, (LEVELS, FRAMES), generator=torch.Generator().manual_seed(1))
    before = torch.cat((torch.zeros(LEVELS, 1, dtype=torch.long), 1 + ids[:, :-1]), 1)
    expected = theirs()(before[None])[0][0].log()  # [size, level, frame]
    grid = SMALL.tasks[0].place([{name: Stream(row.numpy()) for name, row in zip(NAMES, ids, strict=True)}], SPECS)
    logits = model(collate([grid], [vocab.offset("pad") for vocab in model.vocabs.values()]))
    state, column = model.start(1, 8), None
    for frame in range(FRAMES):
        live = model.next(state, column)
        for level, row in enumerate(NAMES):
            wanted = expected[:, level, frame]
            for found in (logits[row][0, frame, :SIZE], live[row][0, :SIZE]):
                torch.testing.assert_close(found.log_softmax(0), wanted, atol=1e-4, rtol=1e-4)
        column = ids[None, :, frame]
    assert expected.exp().amax(0).mean() > 0.15, "it expects something"


def test_the_published_size():
    whole = reference("encodec.model", *AUDIO).LMModel
    with torch.device("meta"):
        published = whole(8, 1024, num_layers=5, dim=200, past_context=int(3.5 * 75))
        model = PUBLISHED.build(find("encodec_24k_lm").tokenizers[0].specs())
    counts = [sum(weight.numel() for weight in one.parameters()) for one in (published, model)]
    # Ours have one row that stands for all levels before the first frame, and two marks a level.
    assert counts[1] - counts[0] == -8 * 200 + 200 + 2 * 8 * (200 + 200 + 1)
    assert published.transformer.past_context == model.body.numbers.back
