"""The vocabulary of each row, derived from layouts and specs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oration.core import BadInput, Specs, Vocab
from oration.layouts.block import END, PAD, is_stream

if TYPE_CHECKING:
    from oration.layouts.layout import Layout


def vocabs(layouts: Iterable[Layout], specs: Specs) -> dict[str, Vocab]:
    """Row -> its symbols, for one model that reads all these layouts: streams first, then `pad`, `end` and other marks.

    The first stream keeps offset 0, so a text LM's embeddings copy as a slice.

    >>> from oration.core import Spec
    >>> from oration.layouts import Layout, Line, Ratio, Weave
    >>> talk = Layout((Line("user.units"), Weave(("text", "units"), by=Ratio((13, 26)))))
    >>> vocabs((Layout((Line("text"),)), talk), {"text": Spec(1000), "units": Spec(64, 50), "user.units": Spec(64, 50)})
    {'main': Vocab(blocks=(('text', 1000), ('user.units', 64), ('units', 64), ('pad', 1), ('end', 1), (']text', 1), \
(']units', 1)))}

    Raises:
        BadInput: a stream without a spec.
    """
    rows: dict[str, dict[str, None]] = {}
    for layout in layouts:
        for block in layout.blocks:
            for row, names in block.rows().items():
                rows.setdefault(row, {}).update(dict.fromkeys(names))
    for row, found in rows.items():
        for name in filter(is_stream, found):
            if name not in specs:
                raise BadInput(
                    f"row {row!r} holds the stream {name!r}, but nothing gives it: there are {sorted(specs)}; "
                    "add a tokenizer or an operation that does"
                )
    return {
        row: Vocab(
            tuple((name, specs[name].size) for name in found if is_stream(name))
            + ((PAD, 1), (END, 1))
            + tuple((name, 1) for name in found if not is_stream(name))
        )
        for row, found in rows.items()
    }
