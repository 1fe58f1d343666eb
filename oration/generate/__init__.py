"""Generators: from a prompt to streams, and from streams to their likelihood. Know no audio."""

from oration.generate.autoregressive import Generation, complete, generate
from oration.generate.resolve import Step, resolve
from oration.generate.sampler import Sampler
from oration.generate.score import Likelihood, Score, score
from oration.generate.voice import Limits, Reply, Turns, Voice

__all__ = [
    "Generation", "Likelihood", "Limits", "Reply", "Sampler", "Score", "Step", "Turns", "Voice", "complete", "generate",
    "resolve", "score",
]  # fmt: skip
