"""The vocabulary of each row, derived from layouts and specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from oration.core import BadInput, Spec, Specs, Vocab
from oration.layouts.block import END, PAD, is_stream

if TYPE_CHECKING:
    from oration.layouts.layout import Layout


def vocabs(layouts: Iterable[Layout], specs: Specs, shared: Mapping[str, str] | None = None) -> dict[str, Vocab]:
    """Row -> its symbols, for one model that reads all these layouts: streams first, then `pad`, `end` and other marks.

    The first stream keeps offset 0, so a text LM's embeddings copy as a slice.

    Args:
        shared: stream -> another, whose symbols it uses too where one row has both: `{"user.text": "text"}`.

    >>> from oration.core import Spec
    >>> from oration.layouts import Layout, Line, Ratio, Weave
    >>> talk = Layout((Line("user.units"), Weave(("text", "units"), by=Ratio((13, 26)))))
    >>> vocabs((Layout((Line("text"),)), talk), {"text": Spec(1000), "units": Spec(64, 50), "user.units": Spec(64, 50)})
    {'main': Vocab(blocks=(('text', 1000), ('user.units', 64), ('units', 64), ('pad', 1), ('end', 1), (']text', 1), \
(']units', 1)), shared=())}

    Raises:
        BadInput: a stream without a spec, or with two sizes; two streams of unequal size that are to share symbols.
    """
    rows: dict[str, dict[str, None]] = {}
    fixed: dict[str, int] = {}
    for layout in layouts:
        for block in layout.blocks:
            for row, names in block.holds().items():
                rows.setdefault(row, {}).update(dict.fromkeys(names))
            for name, size in getattr(block, "sizes", {}).items():
                if fixed.setdefault(name, size) != size:
                    raise BadInput(
                        f"Say writes {name!r} as one of {size} symbols here and as one of {fixed[name]} there; give "
                        "both one size"
                    )
    known = {name: Spec(size) for name, size in fixed.items()} | dict(specs)
    made = {}
    for row, found in rows.items():
        pairs = tuple((name, other) for name, other in (shared or {}).items() if name in found and other in found)
        for name, other in pairs:
            if name in known and other in known and (known[name].size, known[name].dim) != (known[other].size, 0):
                raise BadInput(
                    f"{name!r} is to use the symbols of {other!r} in row {row!r}, but they are {known[name]} and "
                    f"{known[other]}; only streams of as many symbols can share them"
                )
        own = tuple(name for name in found if name not in dict(pairs))
        made[row] = Vocab(_blocks(row, own, known), pairs)
    return made


def rows_of(layout: Layout, specs: Specs, vocabs_: Mapping[str, Vocab] | None) -> dict[str, Vocab]:
    """The vocabularies of a layout, or those of a model once they are found to hold it.

    Raises:
        BadInput: the model has no such row, stream or mark, or a stream of another size.
    """
    own = vocabs((layout,), specs)
    if vocabs_ is None:
        return own
    for row, vocab in own.items():
        for name, size in vocab.blocks:
            first, past = vocabs_[row].ranges.get(name, (0, 0)) if row in vocabs_ else (0, 0)
            if past - first != size:
                raise BadInput(
                    f"this layout writes {size} symbols of {name!r} in row {row!r}, but the model has {past - first} "
                    "there; it was built for other tasks or tokenizers, so use those or train it anew"
                )
    return dict(vocabs_)


def _blocks(row: str, found: tuple[str, ...], specs: Specs) -> tuple[tuple[str, int], ...]:
    streams = tuple(filter(is_stream, found))
    for name in streams:
        if name not in specs:
            raise BadInput(
                f"row {row!r} holds the stream {name!r}, but nothing gives it: there are {sorted(specs)}; "
                "add a tokenizer or an operation that does"
            )
    marks = (name for name in found if not is_stream(name))
    return (*((name, specs[name].size) for name in streams), (PAD, 1), (END, 1), *((name, 1) for name in marks))
