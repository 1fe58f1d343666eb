"""How a recipe's Stack is driven live: which rows are heard, drawn and said, and what silence is in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oration.core import BadInput, Specs
from oration.core.decoder import Decoder
from oration.layouts import Line, Stack
from oration.layouts.block import END, PAD
from oration.lms import LanguageModel
from oration.lms.channels import ChannelHead
from oration.lms.depth import DepthModel
from oration.lms.heads import RowsModel
from oration.model import SpeechLM
from oration.recipe import named_after
from oration.reply import USER, Link
from oration.streams import Edges, SpreadWords
from oration.tokenizers import Channels


@dataclass(frozen=True)
class Cell:
    """A row of the Stack."""

    k: int
    """Its number among the model's rows."""
    row: str
    stream: str
    delay: int
    offset: int
    """Token of the stream's symbol 0."""
    size: int
    pad: int
    end: int | None
    """The token that ends the row, where the Stack ends each."""
    dim: int
    """How wide its vectors are; 0: it has symbols."""


@dataclass(frozen=True)
class Source:
    """Where the items of a heard stream come from."""

    part: str
    """The tokenizer."""
    stream: str
    """Of what the tokenizer inside gives for one party."""
    edges: bool = False
    """Units as `Edges` make them."""


@dataclass(frozen=True)
class Plan:
    """A task with one Stack, maybe behind text that is read first."""

    link: Link
    cells: tuple[Cell, ...]
    heard: Mapping[str, Source]
    """Given stream -> its source."""
    spoken: tuple[str, ...]
    """Streams of the vocoder, in its order."""
    edged: bool
    """Whether the vocoder's units are said as `Edges`."""
    text: str | None
    """The stream of the model's own words, spread over frames."""
    unspoken: tuple[int, ...]
    """Symbols of it that are no words."""
    reads: tuple[str, ...]
    """Streams of text before the Stack."""
    ahead: bool
    """Whether what is drawn for a step does not depend on what is heard in it, so that it is drawn a frame earlier."""

    @cached_property
    def own(self) -> tuple[Cell, ...]:
        """The rows that the model draws."""
        return tuple(cell for cell in self.cells if cell.stream not in self.heard)

    @cached_property
    def given(self) -> tuple[Cell, ...]:
        """The rows that are heard."""
        return tuple(cell for cell in self.cells if cell.stream in self.heard)

    @cached_property
    def mine(self) -> tuple[Cell, ...]:
        """The rows of the model's own side."""
        return tuple(cell for cell in self.own if not cell.stream.startswith(USER))

    @cached_property
    def wait(self) -> int:
        """Steps after its first cell until an item of the model's own is complete."""
        return max((cell.delay for cell in self.mine), default=0)


def plan(model: SpeechLM, link: Link, lm: LanguageModel, *, silent: bool = False) -> Plan:
    """The plan of a recipe's link.

    Args:
        silent: the model says no sound itself.

    Raises:
        BadInput: the layout is no Stack behind lines of text, a stream is neither heard nor drawn, or nothing can be
            said of what is drawn.
    """
    task, specs = link.task, {**model.specs, **link.lm.specs(model.specs)}
    *before, stack = task.layout.blocks
    if not isinstance(stack, Stack) or not all(isinstance(block, Line) for block in before):
        kinds = ", ".join(type(block).__name__ for block in task.layout.blocks)
        raise BadInput(
            f"task {task.name!r} of {link.lm.name!r} is laid out as {kinds}, which does not go step by step with what "
            "is heard; a dual channel needs one Stack of both parties' streams, after lines of text at most"
        )
    cells = tuple(_cell(stack, stream, lm, specs) for stream in stack.streams)
    heard = {cell.stream: found for cell in cells if (found := source(model, link, cell.stream)) is not None}
    open_ = [cell.stream for cell in cells if cell.stream not in heard and cell.stream not in task.predict]
    if open_ or not heard:
        raise BadInput(
            f"task {task.name!r} of {link.lm.name!r} is to be given {open_ or 'what the user says'}, and no tokenizer "
            "hears it as it is said; give the recipe one whose streams go by 'user.' and come frame by frame"
        )
    mine = [cell.stream for cell in cells if cell.stream not in heard]
    spoken, edged = ((), False) if silent else _spoken(model, link, mine)
    text = next((name for name in mine if name in ("text.frames", "phonemes.frames")), None)
    reads = tuple(name for block in before for names in block.holds().values() for name in names)
    reads = tuple(name for name in reads if name in model.specs)
    given = [cell for cell in cells if cell.stream in heard]
    own = [cell for cell in cells if cell.stream not in heard]
    return Plan(
        link, cells, heard, spoken, edged, text, _unspoken(task.operations, text, specs), reads, _ahead(lm, own, given)
    )


def _cell(stack: Stack, stream: str, lm: LanguageModel, specs: Specs) -> Cell:
    row = stack.row[stream]
    vocab = lm.vocabs[row]
    first, last = vocab.ranges[stream]
    end = vocab.offset(END) if stack.end == "each" else None
    k, pad = lm.rows.index(row), vocab.offset(PAD)
    return Cell(k, row, stream, stack.late[stream], first, last - first, pad, end, specs[stream].dim)


def source(model: SpeechLM, link: Link, stream: str) -> Source | None:
    """Where a stream of the user's comes from while it is said; None: from nowhere."""
    for operation in link.task.operations:
        if isinstance(operation, Edges) and stream == f"{operation.stream}.edges":
            found = source(model, link, operation.stream)
            return None if found is None else Source(found.part, found.stream, True)
    if not stream.startswith(USER):
        return None
    name = stream[len(USER) :]
    for config in model.recipe.tokenizers:
        inner = config.of if isinstance(config, Channels) else config
        if "wave" in config.needs and name in inner.specs():
            return Source(named_after(next(iter(config.specs()))), name)
    return None


def _spoken(model: SpeechLM, link: Link, mine: list[str]) -> tuple[tuple[str, ...], bool]:
    """The vocoder's streams that are drawn, and whether as edges."""
    vocoder = model.recipe.vocoder
    needs = () if vocoder is None else tuple(vocoder.needs)
    found = []
    for name in needs:
        if name not in mine and not (isinstance(vocoder, Decoder) or name == "speaker"):
            break
        if name in mine:
            found.append(name)
    if found and found == list(needs[: len(found)]):
        return tuple(found), False
    edged = [f"{name}.edges" for name in needs if f"{name}.edges" in mine]
    if len(edged) == 1:
        return (edged[0].removesuffix(".edges"),), True
    raise BadInput(
        f"the vocoder of {model.recipe.name!r} speaks {needs}, but the task {link.task.name!r} draws {mine}, of which "
        "it cannot say anything frame by frame; serve it turn by turn"
    )


def _unspoken(operations: Any, text: str | None, specs: Specs) -> tuple[int, ...]:
    for operation in operations:
        if isinstance(operation, SpreadWords) and f"{operation.stream}.frames" == text:
            return operation.marks(specs[operation.stream])
    return ()


def _ahead(lm: LanguageModel, own: list[Cell], given: list[Cell]) -> bool:
    """Whether no drawn row depends on a heard row of the same step."""
    head: Any = lm.head
    if isinstance(head, ChannelHead):
        head = head.head
    if isinstance(head, RowsModel):
        return True
    if isinstance(head, DepthModel):
        deep = [cell.k for cell in own if cell.row in head.deep]
        return not any(cell.k < k for cell in given if cell.row in head.rows for k in deep)
    return max(cell.k for cell in own) < min(cell.k for cell in given)


def inner(model: SpeechLM, part: str) -> Any:
    """The built tokenizer of one party."""
    built = model.part(part)
    return built.inner if hasattr(built, "inner") else built
