"""`oration score`: its commands and their options. What they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction, arg

from oration.commands.options import Aligner, Clips, Data, Model, Models, Out, Split, Weights

score = tyro.extras.SubcommandApp()
score.__doc__ = "Measure a model: likelihoods, units, resynthesis, codecs, language model, aligners."


@score.command
def likelihood(
    recordings: Annotated[Positional[tuple[Path, ...]], arg(metavar="RECORDING", help="Audio files to compare.")],
    /,
    *,
    model: Model = None,
    weights: Weights = None,
    out: Out = Path("out/score-likelihood"),
) -> None:
    """How likely the language model finds recordings, the likeliest first."""
    from oration.commands.score.likelihood import run

    run(recordings, model, weights, out)


@score.command(name="units")
def units_(
    data: Data,
    /,
    *,
    models: Models = (),
    split: Split = "dev",
    clips: Clips = 0,
    mend: Annotated[bool, arg(help="Put back bytes that the recordings lost, as those of the TIMIT sample.")] = False,
    out: Out = Path("out/score-units"),
) -> None:
    """How well units tell phones apart (ABX, purity) and what they cost (bits per second)."""
    from oration.commands.score.units import run

    run(data, models, split, clips, mend, out)


@score.command
def resynthesis(
    data: Data,
    /,
    *,
    models: Models = (),
    split: Split = "dev",
    clips: Clips = 40,
    out: Out = Path("out/score-resynthesis"),
) -> None:
    """What is lost from recording to units and back: words, sound, pitch, beside Griffin-Lim."""
    from oration.commands.score.resynthesis import run

    run(data, models, split, clips, out)


@score.command
def lm(
    data: Data,
    /,
    *,
    model: Model = None,
    split: Split = "dev",
    clips: Clips = 0,
    weights: Weights = None,
    out: Out = Path("out/score-lm"),
) -> None:
    """How well the language model predicts held-out units, beside n-grams counted on the training clips."""
    from oration.commands.score.lm import run

    run(data, model, split, clips, weights, out)


@score.command
def compare(
    data: Data,
    /,
    *,
    models: Models = (),
    split: Split = "dev",
    clips: Clips = 0,
    out: Out = Path("out/score-compare"),
) -> None:
    """Models that say the same streams in different layouts, by what they pay for a second of speech."""
    from oration.commands.score.compare import run

    run(data, models, split, clips, out)


@score.command
def alignment(
    data: Data,
    /,
    *,
    aligners: Annotated[
        UseAppendAction[tuple[Aligner, ...]], arg(name="aligner", help="Whose times; by default both.")
    ] = (),
    split: Split = "dev",
    clips: Clips = 0,
    mend: Annotated[bool, arg(help="Put back bytes that the recordings lost, as those of the TIMIT sample.")] = False,
    out: Out = Path("out/score-alignment"),
) -> None:
    """How far word times found by forced alignment lie from those of the data."""
    from oration.commands.score.alignment import run

    run(data, aligners or ("pocketsphinx", "ctc"), split, clips, mend, out)


@score.command
def codec(
    data: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="DATA", help="Folders with manifest.jsonl, manifests or recordings.")
    ],
    /,
    *,
    models: Models = (),
    levels: Annotated[tuple[int, ...], arg(metavar="N", help="How many levels to decode; by default 1, 2, 4 ...")] = (),
    references: Annotated[
        tuple[str, ...], arg(name="reference", metavar="CODEC", help="opus:KBITS, codec2:MODE, griffin-lim[:FRAMES].")
    ] = ("opus:6", "opus:12", "opus:24", "codec2:3200", "codec2:1200", "griffin-lim"),
    without: Annotated[tuple[str, ...], arg(metavar="MEASURE", help="Leave out wer, the slowest, or others.")] = (),
    split: Split = "dev",
    clips: Annotated[int, arg(aliases=("--limit",), help="Measure on this many, evenly spread; 0 is all.")] = 40,
    mend: Annotated[bool, arg(help="Put back bytes that the recordings lost, as those of the TIMIT sample.")] = False,
    workers: Annotated[int, arg(help="Processes that measure; each takes one core.")] = 1,
    out: Out = Path("out/score-codec"),
) -> None:
    """Codecs beside Opus, codec2 and Griffin-Lim: what they keep of speech, and how many kbit/s they take."""
    from oration.commands.score.codec import run

    run(data, models, levels, references, without, split, clips, mend, workers, out)
