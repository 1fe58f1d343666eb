"""Text pieces of all three kinds: lossless, timed by their words, self-contained once saved; phonemes beside them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from oration.core import TICKS, BadInput
from oration.data.manifest import Clip
from oration.text.normal import normalise
from oration.text.phones import PHONES
from oration.tokenizers import Phonemes, TextPieces
from oration.train.checkpoint import load_part, save_tensors

TEXTS = ["the cat sat on the mat", "the rat sat on the cat", "Well, that hat!"] * 4
CLIP = Clip(
    "a", Path("a.wav"), 3.0, text="Well, that hat!", words=((0.5, 0.9, "well"), (1.0, 1.4, "that"), (2.0, 2.8, "hat"))
)
HOSTILE = ["", " ", "😀👩‍👩‍👧", "a\0b", "\ud800", "привет 中文 ١٢٣", "\u202e\u0301x", "</s><s>", "1984 " * 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Hugging Face tokenizer with special symbols first, as text language models have."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    path = tmp_path_factory.mktemp("hf")
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def trained(**fields):
    part = TextPieces(**{"size": 290, **fields}).build()
    part.learn(TEXTS)
    return part


@pytest.fixture(params=["bytes", "bpe", "file"])
def part(request, folder):
    if request.param == "bytes":
        return TextPieces().build()
    return trained() if request.param == "bpe" else TextPieces(size=300, file=str(folder)).build()


@pytest.mark.parametrize("text", [*HOSTILE, *TEXTS[:3]])
def test_every_text_comes_back(part, text):
    pieces = part.of(text)["text"]
    pieces.verify("text", part.specs()["text"])
    assert pieces.onsets is None
    assert part.decode(pieces.ids) == normalise(text)


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_bytes_are_the_bytes(text):
    assert TextPieces().build().of(text)["text"].ids.tolist() == list(text.encode())


def test_a_long_text(part):
    text = "the cat sat, that hat " * 12_000
    assert part.decode(part.of(text)["text"].ids) == text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("words", [(), ((0.1, 0.4, "a"), (0.5, 0.9, "b"))])
def test_any_clip_has_pieces_in_order(part, text, words):
    stream = part.label(replace(CLIP, text=text, words=words))["text"]
    stream.verify("text", part.specs()["text"])
    assert (stream.onsets is None) == (not words)
    assert np.array_equal(stream.ids, part.of(text)["text"].ids)


def test_pieces_begin_with_their_word(part):
    stream = part.label(CLIP)["text"]
    begun = {start: part.decode(stream.ids[stream.onsets == round(start * TICKS)]) for start in (0.5, 1.0, 2.0)}
    assert begun == {0.5: "Well,", 1.0: " that", 2.0: " hat!"}


def test_spread_pieces_lie_within_their_word():
    stream = TextPieces(spread=True).build().label(CLIP)["text"]
    hat = stream.onsets[-4:] / TICKS  # h a t !
    assert hat == pytest.approx([2.0, 2.0 + 0.8 / 3, 2.0 + 1.6 / 3, 2.0 + 1.6 / 3])


def test_a_clip_without_times_has_pieces_without_onsets(part):
    stream = part.label(replace(CLIP, words=()))["text"]
    assert stream.onsets is None
    assert part.decode(stream.ids) == CLIP.text


def test_a_clip_without_text_speaks_its_words_or_is_refused(part):
    assert part.decode(part.label(replace(CLIP, text=None))["text"].ids) == "well that hat"
    with pytest.raises(BadInput, match="the clip 'a' has no transcript.*manifest"):
        part.label(replace(CLIP, text=None, words=()))
    with pytest.raises(BadInput, match="the clip 'a' has no transcript"):
        Phonemes.tiny().label(replace(CLIP, text=None, words=()))


def test_normalisation_is_a_field():
    part = TextPieces(normal="spoken").build()
    assert part.decode(part.label(CLIP)["text"].ids) == "well that hat"
    assert part.decode(part.of("  It’s  HERE…")["text"].ids) == "it's here"
    with pytest.raises(BadInput, match="'upper', expected one of"):
        TextPieces(normal="upper")


def test_learning_makes_pieces_fewer_and_is_exact():
    one, two = trained(), trained()
    assert torch.equal(one.merges, two.merges)
    assert len(one.of(TEXTS[0])["text"]) < len(TEXTS[0]) / 2
    assert 256 < len(one.code) <= 290


@pytest.mark.parametrize("kind", ["bpe", "file"])
def test_a_saved_code_needs_no_file(kind, folder, tmp_path):
    moved = tmp_path / "hf"
    shutil.copytree(folder, moved)
    config = TextPieces(size=290) if kind == "bpe" else TextPieces(size=300, file=str(moved))
    part = trained() if kind == "bpe" else config.build()
    wanted = part.of(TEXTS[0])["text"].ids
    save_tensors(tmp_path / "text.safetensors", part.state_dict(), torch.float16)
    shutil.rmtree(moved)
    again = config.build()
    load_part(again, tmp_path / "text.safetensors")
    assert again.of(TEXTS[0])["text"].ids.tolist() == wanted.tolist()
    assert again.decode(wanted) == TEXTS[0]


def test_loading_replaces_what_was_learned(tmp_path):
    save_tensors(tmp_path / "a.safetensors", trained().state_dict())
    other = TextPieces(size=290).build()
    assert len(other.of("the cat")["text"]) == 7
    load_part(other, tmp_path / "a.safetensors")
    assert len(other.of("the cat")["text"]) < 7


@pytest.mark.parametrize("config", [TextPieces(), TextPieces(size=32_000), TextPieces(size=151_936, file="/nowhere")])
def test_published_sizes_build_without_a_file(config):
    with torch.device("meta"):
        part = config.build()
    assert part.specs()["text"].size == config.size
    config.build()


def test_special_symbols_keep_their_ids_and_are_never_said_by_a_transcript(folder):
    part = TextPieces(size=320, file=str(folder / "tokenizer.json")).build()
    assert part.code.tokenizer.token_to_id("</s>") == 1
    ids = part.of("</s>")["text"].ids
    assert 1 not in ids
    assert part.decode([1, *ids, 2]) == "</s>"
    assert part.decode([310]) == ""  # rows of an embedding that mean nothing


def test_what_does_not_fit_is_said(folder, tmp_path):
    with pytest.raises(BadInput, match="size 255, expected 256"):
        TextPieces(size=255)
    with pytest.raises(BadInput, match=r"has \d+ symbols, but the text pieces have size 100; set size=\d+"):
        TextPieces(size=100, file=str(folder)).build().of("a")
    with pytest.raises(BadInput, match=r"gone.*does not exist"):
        TextPieces(size=100, file=str(tmp_path / "gone")).build().of("a")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match=r"is no tokenizer\.json"):
        TextPieces(size=100, file=str(tmp_path)).build().of("a")
    with pytest.raises(BadInput, match="holds the id 256, expected 0 to 255"):
        TextPieces().build().decode([256])
    with pytest.raises(BadInput, match="nothing is learned"):
        TextPieces(size=300, file=str(folder)).build().learn(TEXTS)


def test_phonemes_of_a_clip():
    phonemes = Phonemes.tiny()
    assert phonemes.decode(phonemes.label(CLIP)["phonemes"].ids) == phonemes.decode(
        phonemes.of(CLIP.text)["phonemes"].ids
    )
    assert phonemes.decode(phonemes.of("7 cats.")["phonemes"].ids).endswith("K AE T S SIL")
    assert phonemes.of("")["phonemes"].ids.tolist() == []
    assert phonemes.specs()["phonemes"].size == len(PHONES)
    with pytest.raises(BadInput, match="expected English"):
        phonemes.of("привет")
    with pytest.raises(BadInput, match="holds the id 40"):
        phonemes.decode([40])
