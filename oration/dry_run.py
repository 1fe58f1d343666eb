"""A look at a few clips before training begins: what cannot work is said now, and not after days. Trains nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from oration.core import GIVEN, PREDICT, BadInput
from oration.data.manifest import Clip
from oration.layouts import fits
from oration.model import SpeechLM
from oration.recipe import Recipe
from oration.tasks import Task
from oration.train.feed import Packed
from oration.train.stage import Train


def dry_run(recipe: Recipe, clips: Sequence[Clip]) -> None:
    """Place the shortest and the longest clip, and one without word times, as each language model will see them.

    Tokenizers are untrained for it: where their symbols lie does not depend on which they are. What reads the hidden
    vectors of an earlier model is left out, since that model may be large.

    Raises:
        BadInput: a stream that nothing gives, no times where times are needed, a delay longer than the clip, nothing to
            predict, lines longer than a context.
    """
    model = SpeechLM(recipe)
    for stage in recipe.training:
        if isinstance(stage.feed, Packed):
            _look(model, stage, [c for c in clips if c.split == "train"])


def _look(model: SpeechLM, stage: Train, clips: Sequence[Clip]) -> None:
    lm = next((lm for lm in model.recipe.lms if lm.name == stage.part), None)
    if lm is None or not isinstance(stage.feed, Packed):
        raise BadInput(
            f"a training stage packs grids for {stage.part!r}, but the language models are "
            f"{[lm.name for lm in model.recipe.lms]}; name one of them"
        )
    if lm.context is not None and stage.feed.length is not None and stage.feed.length > lm.context:
        raise BadInput(
            f"lines of {stage.feed.length} steps do not fit {lm.name!r}, whose context is {lm.context}; "
            "lower feed.length or raise the context"
        )
    needs = model.needs(stage)
    if any(name.endswith(".hidden") for name in needs):
        return
    mine = [clip for clip, weight in zip(clips, stage.data.weights(clips), strict=True) if weight > 0]
    mine.sort(key=lambda clip: clip.seconds)
    chosen = [mine[0], mine[-1], *[clip for clip in mine if not clip.words][:1]]
    specs, vocabs = lm.specs(model.specs), lm.vocabs(model.specs)
    with tempfile.TemporaryDirectory() as cache:
        material = model.material(chosen, needs, Path(cache), lambda items, title: items)
        for task in cast(Sequence[Task], stage.feed.chosen(lm.tasks)):
            fits(task.layout, specs, mine[-1].seconds)
            grids = []
            for at, clip in enumerate(chosen):
                try:
                    example = task.prepare(material.example(at), model.specs, np.random.default_rng(0))
                    grids.append(task.place([example], specs, None, vocabs))
                except BadInput as wrong:
                    raise BadInput(f"clip {clip.id!r} does not fit task {task.name!r}: {wrong}") from wrong
            if not any(bool((grid.role == PREDICT).any()) for grid in grids):
                raise BadInput(
                    f"task {task.name!r} of {lm.name!r} finds nothing to predict in {[c.id for c in chosen]}; "
                    f"it predicts {task.predict}, so see that clips have these streams"
                )
            whole = [grid.steps for grid in grids if grid.dense or bool((grid.role == GIVEN).any())]
            if lm.context is not None and whole and min(whole) > lm.context:
                raise BadInput(
                    f"even the shortest clip makes {min(whole)} steps for task {task.name!r}, but the context of "
                    f"{lm.name!r} is {lm.context}; cut the clips or raise the context"
                )
