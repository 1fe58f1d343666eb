"""Floor 0: types only. No torch at import, no network, no files."""

from oration.core.errors import BadInput, OrationError, optional
from oration.core.grid import ABSENT, GIVEN, PREDICT, Batch, Dense, DenseBatch, Grid, collate, pack
from oration.core.loss import Loss
from oration.core.parts import Buildable, Event, Live, Operation, Tokenizer, Vocoder
from oration.core.record import assign, dumps, from_record, to_record
from oration.core.spec import TICKS, Spec, Specs, ticks
from oration.core.stream import Example, Stream
from oration.core.vocab import Vocab
from oration.core.waveform import Waveform

__all__ = [
    "ABSENT", "GIVEN", "PREDICT", "TICKS", "BadInput", "Batch", "Buildable", "Dense", "DenseBatch", "Event", "Example",
    "Grid", "Live", "Loss", "Operation", "OrationError", "Spec", "Specs", "Stream", "Tokenizer", "Vocab", "Vocoder",
    "Waveform", "assign", "collate", "dumps", "from_record", "optional", "pack", "ticks", "to_record",
]  # fmt: skip
