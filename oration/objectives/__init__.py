"""Objectives: what training minimises."""

from oration.objectives.cross_entropy import CrossEntropy, CrossEntropyModel

__all__ = ["CrossEntropy", "CrossEntropyModel"]
