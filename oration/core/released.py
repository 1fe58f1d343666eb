"""Released checkpoints of other projects: their names and shapes carried to ours. Reads safetensors, runs nothing.

What a release calls its tensors is a list of `Carry` (`released_moshi.py`, `released_csm.py`); every weight of ours is
named in it, and every tensor of theirs is used or left out on purpose, so that nothing is lost silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from oration.core import BadInput, Vocab

Change = Callable[[Sequence[Tensor], Mapping[str, int]], Tensor]


def joined(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    """Their tensors end to end: queries, keys and values that are apart there."""
    return torch.cat(list(found)) if len(found) > 1 else found[0]


@dataclass(frozen=True)
class Carry:
    """One kind of weight: its name here, what it is made of there, and how.

    >>> Carry("blocks.{i}.qkv.weight", ("layers.{i}.q.weight", "layers.{i}.k.weight")).match("blocks.3.qkv.weight")
    {'i': 3}
    """

    ours: str
    """A name in our state dict; `{i}` stands for a number."""
    theirs: tuple[str, ...]
    """Names with the same numbers in them."""
    change: Change = joined
    """Their tensors and the numbers -> our tensor."""

    def match(self, name: str) -> dict[str, int] | None:
        """The numbers in one of our names, or None if this is not about it."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(self.ours))
        found = re.fullmatch(pattern, name)
        return None if found is None else {place: int(number) for place, number in found.groupdict().items()}


def load_released(model: nn.Module, folder: Path | str, mapping: Sequence[Carry], ignore: Sequence[str] = ()) -> None:
    """Set the weights of `model` from the *.safetensors of a folder.

    Args:
        ignore: patterns (`audio_encoder.*`) of tensors that are left out.

    Raises:
        BadInput: no such file, a weight nobody gives or of another shape, or a tensor that nothing takes.
    """
    carry(model, _Folder(Path(folder)), mapping, ignore)


@torch.no_grad()
def carry(
    model: nn.Module, tensors: Mapping[str, Tensor], mapping: Sequence[Carry], ignore: Sequence[str] = ()
) -> None:
    """As `load_released`, from tensors by name."""
    used: set[str] = set()
    for name, weight in model.state_dict().items():
        rule, at = _rule(name, mapping)
        names = [theirs.format(**at) for theirs in rule.theirs]
        missing = [n for n in names if n not in tensors]
        if missing:
            raise BadInput(
                f"the weight {name!r} is made of {missing[0]!r}, which the release does not have; it is of another "
                f"kind or size than this model (it has {len(tensors)} tensors, such as {sorted(tensors)[:3]})"
            )
        found = [tensors[n] for n in names]
        try:
            value = rule.change(found, at)
        except (RuntimeError, IndexError):  # cut or turned in a way that its shape does not allow
            value = found[0]
        if value.shape != weight.shape:
            raise BadInput(
                f"the weight {name!r} is {tuple(weight.shape)} here, but the release's {names[0]!r} makes "
                f"{tuple(value.shape)}; set the sizes of the model to those of the release"
            )
        weight.copy_(value)
        used.update(names)
    left = [n for n in tensors if n not in used and not any(fnmatchcase(n, pattern) for pattern in ignore)]
    if left:
        raise BadInput(
            f"the release has {len(left)} tensors that this model does not take, such as {sorted(left)[0]!r}; "
            "it has fewer layers or rows than the release, or ignore them by name"
        )


def _rule(name: str, mapping: Sequence[Carry]) -> tuple[Carry, dict[str, int]]:
    for rule in mapping:
        at = rule.match(name)
        if at is not None:
            return rule, at
    raise BadInput(f"nothing says what the weight {name!r} is called in the release; add a Carry for it")


def table(
    vocab: Vocab, first: int = 0, pad: int | None = None, end: int | None = None, stream: str | None = None
) -> Change:
    """The rows of a vocabulary out of their table: one stream's symbols from row `first` on, marks from rows of theirs.

    Rows that nothing is said about are 0: an embedding that adds nothing, a logit of 0.
    """

    def change(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
        theirs = joined(found, at)
        start, stop = vocab.ranges[stream or vocab.blocks[0][0]]
        last = max(first + stop - start, *(row + 1 for row in (pad, end) if row is not None), 0)
        if last > len(theirs):
            raise BadInput(
                f"a row of {vocab.blocks} needs {last} rows of a released table of {len(theirs)}; "
                "give the tokenizer the size it has there"
            )
        ours = theirs.new_zeros(vocab.size, *theirs.shape[1:])
        ours[start:stop] = theirs[first : first + stop - start]
        for mark, row in (("pad", pad), ("end", end)):
            if row is not None:
                ours[vocab.offset(mark)] = theirs[row]
        return ours

    return change


def turned(weight: Tensor, width: int, interleaved: bool) -> Tensor:
    """Queries or keys, float[heads * width, D], whose rotary pairs are a half apart -> neighbours, or back."""
    shape = (-1, 2, width // 2) if interleaved else (-1, width // 2, 2)
    return weight.unflatten(0, shape).transpose(1, 2).flatten(0, 2)


class _Folder(Mapping[str, Tensor]):
    """The tensors of a folder's safetensors files, read one at a time."""

    def __init__(self, folder: Path) -> None:
        self._files: list[Any] = []
        self._at: dict[str, Any] = {}
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise BadInput(f"{str(folder)!r} has no *.safetensors; give the folder of a release, downloaded beforehand")
        for path in paths:
            try:
                file = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as wrong:
                raise BadInput(f"{str(path)!r} is no safetensors file ({wrong}); download it again") from wrong
            self._at.update(dict.fromkeys(file.keys(), file))

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._at[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)
