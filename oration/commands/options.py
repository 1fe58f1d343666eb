"""Options that several commands take, and how they are told on the line. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

Device = Literal["auto", "cpu", "cuda"]
Aligner = Literal["pocketsphinx", "ctc"]
Settings = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(name="set", metavar="PATH=VALUE", help="Change one value of the recipe, such as lms.0.body.layers=4."),
]
Model = Annotated[Path | None, arg(metavar="DIR", help="Model folder; by default the one in the package.")]
Models = Annotated[UseAppendAction[tuple[Path, ...]], arg(name="model", metavar="DIR", help="Model folder to compare.")]
Recording = Annotated[Positional[Path], arg(metavar="RECORDING", help="Audio file.")]
Voice = Annotated[str | None, arg(metavar="NAME", help="Who speaks, where the model knows several.")]
Weights = Annotated[
    Literal["fp32", "bf16", "int8"] | None,
    arg(help="Precision of a language model laid out for speed on this machine; by default it is as trained."),
]
Overwrite = Annotated[bool, arg(help="Replace the output file if it exists.")]
Out = Annotated[Path, arg(metavar="DIR", help="Folder for the page and the figures as JSON.")]
Data = Annotated[Positional[Path], arg(metavar="DATA", help="Folder with manifest.jsonl.")]
Split = Annotated[str, arg(help="Which clips of the data to measure on.")]
Clips = Annotated[int, arg(help="Measure on this many clips, evenly spread over the split; 0 is all.")]
