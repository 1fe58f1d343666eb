"""What a language model thought as it said something: the hidden vectors that later models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from oration.core import Example, Spec, Stream, collate
from oration.layouts import cells
from oration.lms import LanguageModel, evaluating
from oration.tasks import Task


@torch.inference_mode()
def expose(
    lm: LanguageModel, task: Task, examples: Sequence[Example], specs: Mapping[str, Spec], streams: Sequence[str]
) -> list[Example]:
    """Whole examples (prepared: operations done) -> for each stream s a continuous stream `s.hidden`, float32[T, D].

    A vector is the one that its item was drawn from, so that it knows all that came before the item and not the item:
    what generation hands over, step by step (Fang et al. 2024, arXiv:2409.06666, section 2.4).

    Args:
        specs: of the streams after the task's operations.
    """
    made: list[Example] = []
    pads = [vocab.offset("pad") for vocab in lm.vocabs.values()]
    for example in examples:
        # As if they were predicted: that tells their items from a layout's own symbols in the same vocabulary.
        batch = collate([task.layout.place([example], specs, streams, None, lm.vocabs)], pads).to(lm.first.device)
        with evaluating(lm):
            hidden = lm.hidden(batch)[0].float()
        found: Example = {}
        table = cells(task.layout, [example], specs, task.predict)
        for stream in streams:
            at = table.where(stream)[:, 1]
            found[f"{stream}.hidden"] = Stream.dense(hidden[at].cpu().numpy(), example[stream].onsets)
        made.append(found)
    return made
