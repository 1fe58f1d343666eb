"""BPE learned by the common loop: from the transcripts alone, resumed exactly, and saved with the model."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oration import cli
from oration.core import BadInput
from oration.data.manifest import Clip, write_manifest
from oration.data.material import Material
from oration.fit import fit
from oration.model import SpeechLM
from oration.objectives import Bpe
from oration.recipe import Recipe
from oration.tokenizers import TextPieces
from oration.train import Mix, Steps, Texts, Train

SAID = ["the cat sat on the mat", "the rat sat on the cat", "Well, that hat!", "naïve 中文", None]
RECIPE = Recipe(
    name="mine",
    tokenizers=(TextPieces(size=280),),
    training=(Train(part="text", objective=Bpe(), feed=Texts(), budget=Steps(1)),),
)


@pytest.fixture
def data(tmp_path):
    clips = [
        Clip(str(n), Path(f"{n}.wav"), 1.0, "train" if n % 2 else "dev", text=SAID[n % 5], corpus="ab"[n % 2])
        for n in range(20)
    ]
    (tmp_path / "data").mkdir()
    write_manifest(clips, tmp_path / "data" / "manifest.jsonl")
    return tmp_path / "data"


def material(texts, corpora=()):
    clips = [
        Clip(str(n), Path("a"), 1.0, text=t, corpus=c) for n, (t, c) in enumerate(zip(texts, corpora, strict=True))
    ]
    return Material(clips)


def test_the_feed_brings_every_transcript_once():
    source = material(["ab", None, "", "\ud800é", "c"], "xxxxy")
    batches = Texts().batches(source, Mix({"x": 1.0}), 0)
    assert batches(0) is batches(5)
    content, lengths = batches(0)["text"].numpy().tobytes(), batches(0)["bytes"].tolist()
    assert content == "ab\ufffdé".encode()
    assert lengths == [2, 5]
    with pytest.raises(BadInput, match="none of the 1 clips has a transcript"):
        Texts().batches(material([None], "x"), Mix(), 0)


def test_training_saves_a_code_that_works_without_the_data(data, tmp_path):
    model = fit(RECIPE, data, tmp_path / "out")
    ids = model.part("text").of("the cat sat")["text"].ids
    assert len(ids) < 8
    again = SpeechLM.load(tmp_path / "out")
    assert np.array_equal(again.part("text").of("the cat sat")["text"].ids, ids)
    assert again.part("text").decode(ids) == "the cat sat"


def test_more_steps_and_another_run_change_nothing(data, tmp_path):
    once = fit(RECIPE, data, tmp_path / "one").part("text").merges
    stage = replace(RECIPE.training[0], budget=Steps(3), save_every=1, dev_every=1)
    thrice = fit(replace(RECIPE, training=(stage,)), data, tmp_path / "three").part("text").merges
    assert torch.equal(once, thrice)
    assert "dev/loss" in (tmp_path / "three" / "training" / "0-text" / "metrics.jsonl").read_text(encoding="utf-8")


def test_from_the_command_line(data, tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""Text alone."""\n'
        "from oration.objectives import Bpe\nfrom oration.recipe import Recipe\n"
        "from oration.tokenizers import TextPieces\n"
        "from oration.train import Steps, Texts, Train\n"
        "stage = Train(part='text', objective=Bpe(), feed=Texts(), budget=Steps(1))\n"
        "recipe = Recipe(name='mine', tokenizers=(TextPieces(size=300),), training=(stage,))\n",
        encoding="utf-8",
    )
    arguments = ["train", str(mine), "--data", str(data), "--out", str(tmp_path / "out"), "--part", "text"]
    for _ in range(2):
        with contextlib.suppress(SystemExit):
            cli.main(arguments)
    assert "mine: trained text" in capsys.readouterr().out
    assert (tmp_path / "out" / "text.safetensors").is_file()


def test_the_smallest_recipe_is_bytes_and_trains(data, tmp_path):
    tiny = RECIPE.tiny()
    assert tiny.tokenizers == (TextPieces(),)
    model = fit(tiny, data, tmp_path / "out")
    assert model.part("text").of("ab")["text"].ids.tolist() == [97, 98]
    assert SpeechLM.load(tmp_path / "out").part("text").of("ab")["text"].ids.tolist() == [97, 98]


def test_bytes_need_no_weights_and_a_file_brings_its_own(data, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    bytes_only = replace(RECIPE, tokenizers=(TextPieces(),), training=())
    fit(bytes_only, data, tmp_path / "bytes")
    assert {p.name for p in (tmp_path / "bytes").iterdir()} == {"recipe.json"}
    assert SpeechLM.load(tmp_path / "bytes").part("text").of("a")["text"].ids.tolist() == [97]
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    named = replace(RECIPE, tokenizers=(TextPieces(size=8, file=str(tmp_path)),), training=())
    fit(named, data, tmp_path / "named")
    (tmp_path / "tokenizer.json").unlink()
    again = SpeechLM.load(tmp_path / "named")
    assert again.part("text").of("b a x")["text"].ids.tolist() == [1, 0, 2]
    again.save(tmp_path / "copy")
    assert SpeechLM.load(tmp_path / "copy").part("text").of("b")["text"].ids.tolist() == [1]


def test_it_learns_for_text_pieces_alone(tmp_path):
    with pytest.raises(BadInput, match="but the part is Linear"):
        Bpe().build(nn.Linear(1, 1), {})
    with pytest.raises(BadInput, match="without a file"):
        Bpe().build(TextPieces(size=300, file=str(tmp_path)).build(), {})
