"""Text as pieces: bytes, a byte-level BPE of your own, or the tokenizer of a text language model.

    TextPieces()                            bytes: 256 symbols, nothing to train, nothing lost
    TextPieces(size=8000)                   bytes and 7744 merges; `objectives.Bpe` learns them from your texts
    TextPieces(size=32000, file="llama/")   tokenizer.json of a Hugging Face folder; its special symbols keep their ids

A piece begins with its word where the clip knows when its words are spoken. The code is part of the weights, so a
trained model does not need the file it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from oration.core import BadInput, Example, Spec, Stream
from oration.core.files import reason
from oration.text import bpe
from oration.text.normal import Normal, normalise
from oration.text.words import Span, onsets


class Transcribed(Protocol):
    """A clip that knows what is said in it, and perhaps when."""

    @property
    def text(self) -> str | None: ...

    @property
    def words(self) -> Sequence[Span]: ...


def transcript(clip: Transcribed, stream: str) -> str:
    """What is said in the clip: its text, or its words if it has only these.

    Raises:
        BadInput: it has neither.
    """
    if clip.text is not None:
        return clip.text
    if not clip.words:
        raise BadInput(
            f"the clip {getattr(clip, 'id', '')!r} has no transcript, which the stream {stream!r} is made from; "
            "write one into the manifest, or leave the clip out"
        )
    return " ".join(word for _, _, word in clip.words)


@dataclass(frozen=True, kw_only=True)
class TextPieces:
    """Pieces of the transcript, without a rate of their own."""

    stream: str = "text"
    size: int = bpe.BYTES
    """Symbols. With a `file`: as many as the text LM's embedding has rows, which may be more than are in use."""
    file: str | None = None
    """tokenizer.json, or the folder that holds it; read from this disk only."""
    normal: Normal = "as is"
    """What is done to a transcript before; see `oration.text.normal`."""
    spread: bool = False
    """Later pieces of a word begin later in its span; otherwise all of them begin with it."""
    needs = ()

    def __post_init__(self) -> None:
        if self.size < (1 if self.file else bpe.BYTES):
            raise BadInput(f"text pieces have size {self.size}, expected {bpe.BYTES} (bytes) or more; set that")
        normalise("", self.normal)

    @classmethod
    def tiny(cls) -> TextPieces:
        """Bytes."""
        return cls()

    @property
    def ready(self) -> bool:
        """Whether it works without training."""
        return self.file is not None or self.size == bpe.BYTES

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(self.size)}

    def build(self) -> TextPiecesModel:
        """The part. A missing `file` is an error only when it is used: the weights may bring what it holds."""
        return TextPiecesModel(self)


class TextPiecesModel(nn.Module):
    """The code, as buffers: `merges` of a BPE, int32[size, 2] closed by -1, or the bytes of a tokenizer.json."""

    needs = ()
    merges: Tensor
    file: Tensor

    def __init__(self, numbers: TextPieces) -> None:
        super().__init__()
        self.numbers = numbers
        self._code: bpe.ByteBpe | Pretrained | None = None
        if numbers.file is not None:
            self.register_buffer("file", torch.zeros(0, dtype=torch.uint8))
            if self.file.device.type != "meta" and tokenizer_file(numbers.file).is_file():
                content = _read(tokenizer_file(numbers.file))
                self.file = torch.from_numpy(np.frombuffer(content, np.uint8).copy()).to(self.file.device)
        elif numbers.size > bpe.BYTES:
            self.register_buffer("merges", torch.full((numbers.size, 2), -1, dtype=torch.int32))

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    @property
    def code(self) -> bpe.ByteBpe | Pretrained:
        """What encodes and decodes.

        Raises:
            BadInput: the file is missing, is no tokenizer.json, or has more symbols than `size`.
        """
        if self._code is None:
            if self.numbers.file is None:
                self._code = bpe.ByteBpe(self._learned())
            else:
                kept = b"" if self.file.device.type == "meta" else self.file.cpu().numpy().tobytes()
                content = kept or _read(tokenizer_file(self.numbers.file))
                self._code = Pretrained(content, self.numbers.file, self.numbers.size)
        return self._code

    def _learned(self) -> np.ndarray:
        if self.numbers.size == bpe.BYTES or self.merges.device.type == "meta":
            return np.zeros((0, 2), np.int64)
        merges = self.merges.cpu().numpy()
        return merges[(merges >= 0).all(1)]

    def learn(self, texts: Iterable[str], least: int = 2) -> None:
        """Fit a BPE to texts, normalised as `label` does.

        Raises:
            BadInput: it comes from a file, so there is nothing to learn.
        """
        if self.numbers.file is not None:
            raise BadInput(f"the text pieces come from {self.numbers.file!r}, so nothing is learned; drop that stage")
        if self.numbers.size > bpe.BYTES:
            plain = (normalise(text, self.numbers.normal) for text in texts)
            found = bpe.learn(plain, self.numbers.size, least=least)[: self.numbers.size]
            self.merges.fill_(-1)
            self.merges[: len(found)] = torch.from_numpy(found).to(self.merges)
        self._code = None

    def of(self, text: str) -> Example:
        """The pieces of a text, without times."""
        return {self.numbers.stream: Stream(self._pieces(normalise(text, self.numbers.normal))[0])}

    def label(self, clip: Transcribed) -> Example:
        """The pieces of what is said in a clip, with onsets where it knows its words' times.

        Raises:
            BadInput: it has no transcript.
        """
        text = normalise(transcript(clip, self.numbers.stream), self.numbers.normal)
        ids, begin = self._pieces(text)
        if not clip.words:
            return {self.numbers.stream: Stream(ids)}
        times = onsets(text, clip.words, spread=self.numbers.spread)
        return {self.numbers.stream: Stream(ids, np.maximum.accumulate(times[begin]) if len(ids) else times[:0])}

    def _pieces(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The pieces of a text, and the character each begins in; both int64[T]."""
        code = self.code
        if isinstance(code, Pretrained):
            return code.encode(text)
        ids = code.encode(text)
        owner = np.repeat(np.arange(len(text)), [len(character.encode()) for character in text])
        return ids, owner[np.cumsum(code.lengths[ids]) - code.lengths[ids]]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of pieces. Half a letter becomes U+FFFD; symbols that mean nothing, and special ones, are left out.

        Raises:
            BadInput: an id outside `size`.
        """
        numbers = np.asarray(list(ids), np.int64)
        Stream(numbers).verify(self.numbers.stream, Spec(self.numbers.size))
        return self.code.decode(numbers.tolist())

    def adopt(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for saved weights: a tokenizer.json is as long as it is."""
        if self.numbers.file is not None and "file" in tensors:
            self.file = torch.zeros(len(tensors["file"]), dtype=torch.uint8, device=self.file.device)

    def _load_from_state_dict(self, *arguments: object) -> None:
        self._code = None
        super()._load_from_state_dict(*arguments)  # type: ignore[arg-type]


class Pretrained:
    """A tokenizer.json, as text language models bring it."""

    def __init__(self, content: bytes, file: str, size: int) -> None:
        try:
            self.tokenizer = Tokenizer.from_buffer(content)
        except Exception as wrong:  # the library raises no narrower one
            raise BadInput(
                f"{str(tokenizer_file(file))!r} is no tokenizer.json ({str(wrong)[:100]}); take the one that lies "
                "beside the text LM's weights"
            ) from wrong
        vocabulary = self.tokenizer.get_vocab(with_added_tokens=True)
        highest = max(vocabulary.values(), default=-1) + 1
        if highest > size:
            raise BadInput(
                f"the tokenizer of {file!r} has {highest} symbols, but the text pieces have size {size}; "
                f"set size={highest}, or what the text LM's embedding has"
            )
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # A transcript that spells "</s>" says just that.
        self.tokenizer.encode_special_tokens = True

    def __len__(self) -> int:
        """How many symbols there are."""
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Pieces without special symbols, and the character each begins in."""
        found = self.tokenizer.encode(text, add_special_tokens=False)
        begin = np.array([start for start, _ in found.offsets], np.int64)
        return np.array(found.ids, np.int64), np.clip(begin, 0, max(0, len(text) - 1))

    def decode(self, ids: Sequence[int]) -> str:
        """The text, without special symbols."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)


def tokenizer_file(path: str) -> Path:
    """tokenizer.json in a folder, or the file itself."""
    return Path(path) / "tokenizer.json" if Path(path).is_dir() or not Path(path).suffix else Path(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise reason(failure, path) from failure
