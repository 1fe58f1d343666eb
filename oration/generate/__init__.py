"""Generators: from a prompt to streams, and from streams to their likelihood. Know no audio."""

from oration.generate.autoregressive import Generation, complete, generate
from oration.generate.expect import Expectations
from oration.generate.expose import expose
from oration.generate.infill import Confidence, Levels
from oration.generate.ode import Ode
from oration.generate.once import Once
from oration.generate.resolve import Step, resolve
from oration.generate.sampler import Sampler
from oration.generate.score import Likelihood, Score, score
from oration.generate.voice import Limits, Reply, Turns, Voice

__all__ = [
    "Confidence", "Expectations", "Generation", "Levels", "Likelihood", "Limits", "Ode", "Once", "Reply", "Sampler",
    "Score", "Step", "Turns", "Voice", "complete", "expose", "generate", "resolve", "score",
]  # fmt: skip
