"""`oration score lm`: held-out units under the language model, beside n-grams counted on the same training clips."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from oration.commands.results import finish
from oration.commands.score.clips import choose, encoded, speakers, spread, with_lm
from oration.core import BadInput
from oration.evaluate.likelihood import ClipNats, likelihood
from oration.evaluate.ngram import ngrams
from oration.evaluate.report import Section, Text
from oration.evaluate.tables import likelihood_table
from oration.generate import score
from oration.nn.linear import Weights
from oration.tasks import Task


def run(data: Path, model: Path | None, split: str, count: int, weights: Weights | None, out: Path) -> None:
    """One row a model of the units.

    Raises:
        BadInput: no training clips to count n-grams on, or a task that predicts more than one stream.
    """
    lm = with_lm(model, weights)
    config = lm.recipe.lms[0]
    task = cast(Task, config.tasks[0])
    if len(task.predict) != 1 or len(task.layout.streams) != 1:
        raise BadInput(
            f"task {task.name!r} lays out {task.layout.streams}; n-grams compare with a model of one stream only, so "
            "score a model whose task has one"
        )
    stream = task.predict[0]
    held_out, known = choose(data, split), choose(data, "train")
    examples = spread(encoded(lm, task, held_out, data / "cache"), count)
    clips = spread(held_out, count)
    counted = [example[stream] for example in encoded(lm, task, known, data / "cache")]
    scores = [found.total for found in score(lm.part(config.name), task, examples, lm.specs)]
    neural = ClipNats(np.array([-s.nats for s in scores]), np.array([s.count for s in scores]))
    name = f"{config.name} of {lm.recipe.name}"
    models = {name: neural} | ngrams(counted, [example[stream] for example in examples], lm.specs[stream].size)
    seconds = [clip.seconds for clip in clips]
    found = likelihood(models, reference=name, seconds=seconds, clusters=speakers(clips))
    lost = [other for other, beaten in found.beaten().items() if not beaten]
    said = f"It does not beat {', '.join(lost)}." if lost else "It beats all of them: every interval lies above 0."
    section = Section("Language models of the same units", (likelihood_table(found), Text(said)))
    facts = {"model": lm.recipe.name, "data": f"{data.name}, {split}", "n-grams counted on": f"{len(known)} clips"}
    finish(out, f"Held-out units under {lm.recipe.name}", [section], facts, found)
    print(said)
