"""Scores with their error bars. Nothing here trains, and nothing is downloaded.

Every measure takes what is in memory (recordings, streams, clips) and gives a frozen dataclass of values with 95 %
intervals; `to_json` writes any of them. Import the measures from their files: `abx units ngram likelihood asr quality
signal resynthesis`; `report` makes one page of them.
"""

from oration.evaluate.abx import ABX
from oration.evaluate.asr import PocketSphinx
from oration.evaluate.interval import Bootstrap, Estimate, plain, to_json
from oration.evaluate.ngram import NGram

__all__ = ["ABX", "Bootstrap", "Estimate", "NGram", "PocketSphinx", "plain", "to_json"]
