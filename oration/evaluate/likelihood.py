"""How well a language model of units predicts held-out speech, beside n-gram models of the same units.

Nats per token say how predictable the *units* are, not how good the speech is: compare only models of the same
tokens on the same clips, which `likelihood` checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oration.core import BadInput
from oration.evaluate.interval import Bootstrap, Estimate


@dataclass(frozen=True, eq=False)
class ClipNats:
    """What a model paid for each clip, and for how many tokens (the end mark counts if it was predicted)."""

    nats: np.ndarray
    """float64[N]: negative log-likelihood."""
    tokens: np.ndarray
    """int64[N]"""

    def __post_init__(self) -> None:
        nats, tokens = np.asarray(self.nats, np.float64), np.asarray(self.tokens, np.int64)
        if nats.ndim != 1 or nats.shape != tokens.shape or (tokens < 1).any():
            raise BadInput(
                f"nats and tokens are one number per clip and every clip has a token, but got nats{list(nats.shape)}, "
                f"tokens{list(tokens.shape)} with a smallest count of {int(tokens.min()) if tokens.size else 0}"
            )
        if not np.isfinite(nats).all():
            raise BadInput(f"clip {int(np.flatnonzero(~np.isfinite(nats))[0])} has an infinite or undefined likelihood")
        object.__setattr__(self, "nats", nats)
        object.__setattr__(self, "tokens", tokens)


@dataclass(frozen=True)
class LikelihoodRow:
    """One model."""

    model: str
    nats: Estimate
    """Per token."""
    perplexity: Estimate
    """exp(nats per token)."""
    bits_per_second: Estimate | None
    """The model as a code for the stream; None when the clips' seconds were not given."""
    against: Estimate | None
    """Nats per token of this model minus those of the reference, paired by clip; None in the reference's own row."""


@dataclass(frozen=True)
class Likelihood:
    """A table, one row a model, in the order given."""

    reference: str
    clips: int
    tokens: int
    rows: tuple[LikelihoodRow, ...]

    def row(self, model: str) -> LikelihoodRow:
        """The row of one model."""
        for row in self.rows:
            if row.model == model:
                return row
        raise BadInput(f"no model {model!r} in this table; it has {[row.model for row in self.rows]}")

    def beaten(self) -> dict[str, bool]:
        """Other model -> does the whole interval of its difference lie above zero, so that the reference is better?"""
        return {row.model: bool(row.against.low > 0) for row in self.rows if row.against is not None}


def likelihood(
    models: Mapping[str, ClipNats],
    *,
    reference: str | None = None,
    seconds: Sequence[float] | None = None,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Likelihood:
    """Per-clip likelihoods of several models -> table with intervals and paired differences.

    Args:
        reference: the model the others are compared with; the first by default.
        seconds: length of each clip, for bits per second.
        clusters: a label a clip (speaker, or the sentence of repeated takes), resampled whole.

    Raises:
        BadInput: no model, no such reference, or models that did not predict the same tokens of the same clips.
    """
    bootstrap = bootstrap or Bootstrap()
    reference = reference or next(iter(models), "")
    if reference not in models:
        raise BadInput(f"the reference {reference!r} is none of the models {list(models)}; name one of them")
    base = models[reference]
    for name, model in models.items():
        if len(model.tokens) != len(base.tokens) or (model.tokens != base.tokens).any():
            raise BadInput(
                f"{name!r} predicted {int(model.tokens.sum())} tokens of {len(model.tokens)} clips but {reference!r} "
                f"{int(base.tokens.sum())} of {len(base.tokens)}; nats compare only on the same tokens, so score both "
                "on the same streams"
            )
    rows = []
    for name, model in models.items():
        speed = None
        if seconds is not None:
            speed = bootstrap.ratio(model.nats / np.log(2), seconds, clusters=clusters)
        against = None
        if name != reference:
            sides = (model.nats, model.tokens), (base.nats, base.tokens)
            against = bootstrap.difference(*sides, clusters=clusters)
        nats = bootstrap.ratio(model.nats, model.tokens, clusters=clusters)
        perplexity = bootstrap.ratio(model.nats, model.tokens, clusters=clusters, then=np.exp)
        rows.append(LikelihoodRow(name, nats, perplexity, speed, against))
    return Likelihood(reference, len(base.tokens), int(base.tokens.sum()), tuple(rows))
