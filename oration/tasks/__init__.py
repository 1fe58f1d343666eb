"""Tasks: names, layouts and roles of streams. No weights, no chance."""

from oration.tasks.task import Task

__all__ = ["Task"]
