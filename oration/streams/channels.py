"""Streams by other names, made up, filled up, or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.streams.timed import begun, duration
from oration.streams.turns import joined, silent


@dataclass(frozen=True)
class Rename:
    """Streams under other names: `Rename({"units": "user.units"})`. `undo` gives them the old ones back.

    >>> Rename({"a": "b"})({"a": Stream(np.arange(2))}, {"a": Spec(3)}, np.random.default_rng(0)).keys()
    dict_keys(['b'])
    """

    names: Mapping[str, str]
    """Old name -> new name."""
    _: KW_ONLY
    keep: bool = False
    """Whether the old names stay as well."""

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names.values())) < len(self.names):
            raise BadInput(f"Rename needs new names, each once, but got {dict(self.names)}")

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.names)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        return {new: given[old] for old, new in self.names.items()}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        found = {name: stream for name, stream in example.items() if self.keep or name not in self.names}
        return found | {new: example[old] for old, new in self.names.items()}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The streams that are there, by their old names."""
        found = {name: stream for name, stream in example.items() if name not in self.names.values()}
        return found | {old: example[new] for old, new in self.names.items() if new in example}


@dataclass(frozen=True)
class Constant:
    """A stream that says the same always: one symbol (which task, which language), or one for each frame of `like`.

    >>> Constant("task", 2, size=5)({}, {}, np.random.default_rng(0))["task"].ids
    array([2])
    """

    stream: str
    symbol: int
    _: KW_ONLY
    size: int | None = None
    """Symbols of the stream; None: as many as `like` has."""
    like: str | None = None
    """A regular stream, whose rate and length it takes; of a continuous one it is the silence: vectors of zeros."""

    def __post_init__(self) -> None:
        if self.size is None and self.like is None:
            raise BadInput(f"Constant({self.stream!r}) needs a size, or a stream to be like; give one of them")
        if self.symbol < 0 or (self.size is not None and self.symbol >= self.size):
            raise BadInput(
                f"Constant({self.stream!r}): the symbol {self.symbol} does not fit the size {self.size}; change one"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        return () if self.like is None else (self.like,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        if self.like is None:
            return {self.stream: Spec(self.size or 1)}
        like = given[self.like]
        size = like.size if self.size is None else self.size
        if like.rate is None or self.symbol >= size:
            raise BadInput(
                f"Constant({self.stream!r}) of symbol {self.symbol} cannot be like {self.like!r}, {like!r}; name a "
                "regular stream that has this symbol, or give a size"
            )
        return {self.stream: Spec(size, like.rate, like.dim)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        if self.like is None:
            return {**example, self.stream: Stream(np.array([self.symbol]))}
        return {**example, self.stream: silent(len(example[self.like]), self.symbol, specs[self.like])}


@dataclass(frozen=True)
class Silence:
    """Regular streams, filled up at their end with a symbol (or vectors of zeros) until they last as long as `like`.

    What is longer stays as it is.

    >>> specs = {"units": Spec(9, 50), "codec.0": Spec(9, 25)}
    >>> example = {"units": Stream(np.zeros(8, int)), "codec.0": Stream(np.array([5, 6]))}
    >>> Silence(("codec.0",), like="units")(example, specs, np.random.default_rng(0))["codec.0"].ids
    array([5, 6, 0, 0])
    """

    streams: tuple[str, ...]
    like: str
    symbol: int = 0

    @property
    def needs(self) -> tuple[str, ...]:
        return *self.streams, self.like

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        for name in self.streams:
            spec = given[name]
            if spec.rate is None or not 0 <= self.symbol < spec.size:
                raise BadInput(
                    f"Silence fills regular streams with the symbol {self.symbol}, but {name!r} is {spec!r}; name "
                    "streams that have a rate and this symbol"
                )
        return {}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        found, whole = dict(example), duration(self.like, example, specs)
        for name in self.streams:
            lacking = begun(whole, specs[name]) - len(example[name])
            if lacking > 0:
                found[name] = joined(example[name], silent(lacking, self.symbol, specs[name]))
        return found


@dataclass(frozen=True)
class Drop:
    """Now and then, with probability `p`, some streams are empty: a model learns to do without what it is given.

    That is how classifier-free guidance is trained: Ho & Salimans 2022, arXiv:2207.12598, section 3.2. All of `streams`
    go together. In a reply it does nothing.

    >>> Drop(("text",), p=1)({"text": Stream(np.arange(3))}, {"text": Spec(9)}, np.random.default_rng(0))["text"].ids
    array([], dtype=int64)
    """

    streams: tuple[str, ...]
    p: float
    learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.streams or isinstance(self.streams, str) or not 0 <= self.p <= 1:
            raise BadInput(f"Drop({self.streams!r}, p={self.p}): name streams in a tuple, and give p from 0 to 1")

    @property
    def needs(self) -> tuple[str, ...]:
        return self.streams

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        return {}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        if rng.random() >= self.p:
            return example
        return {**example, **{name: example[name].cut(0, 0) for name in self.streams}}


@dataclass(frozen=True)
class Timed:
    """A regular stream `X` -> `X.timed`, whose items carry their onsets, so that some of them can be left out.

    >>> style = {"style": Stream(np.array([3, 4]))}
    >>> Timed("style")(style, {"style": Spec(9, 1)}, np.random.default_rng(0))["style.timed"]
    Stream(ids=array([3, 4]), onsets=array([        0, 705600000]), values=None)
    """

    stream: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.rate is None:
            raise BadInput(f"Timed gives the items of a regular stream their onsets, but {self.stream!r} has no rate")
        return {f"{self.stream}.timed": Spec(spec.size, None, spec.dim)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        stream = example[self.stream]
        onsets = specs[self.stream].onsets(len(stream))
        return {**example, f"{self.stream}.timed": Stream(stream.ids, onsets, stream.values)}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The items that are there, as a regular stream."""
        timed = example.get(f"{self.stream}.timed")
        return example if timed is None else {**example, self.stream: Stream(timed.ids, None, timed.values)}
