"""The command line: which commands there are, which options they take, and how mistakes are told.

What a command does is in `oration/commands/` and imported when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction, arg

from oration.commands import threads
from oration.commands.options import (
    Aligner,
    Device,
    Model,
    Out,
    Overwrite,
    Recording,
    Settings,
    Voice,
    Weights,
)
from oration.commands.score.line import score

DESCRIPTION = """Speech Language Models: speech and text in, speech and text out.

Mistakes are told in one sentence; with --debug anywhere on the line, the whole traceback comes with it."""

app = tyro.extras.SubcommandApp()


@app.command
def demo(
    recordings: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="RECORDING", help="Yours, or none: the bundled ones.")
    ] = (),
    /,
    *,
    out: Out = Path("out/demo"),
    model: Model = None,
    seed: Annotated[int, arg(help="Another number gives other continuations.")] = 0,
) -> None:
    """Resynthesise recordings through units, continue a prompt, write a page with all of it."""
    from oration.demo import run

    run(recordings, out, model, seed)


@app.command
def prepare(
    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="SOURCE", help="Folders, manifests or lhotse cuts.")],
    /,
    *,
    out: Annotated[Path, arg(metavar="DIR", help="Where the manifest goes. The same command again resumes.")],
    align: Annotated[bool, arg(help="Do not look for words and phones in clips that have a transcript.")] = True,
    aligner: Annotated[Aligner, arg(help="pocketsphinx is more exact, ctc refuses fewer clips.")] = "pocketsphinx",
    voices: Annotated[float, arg(metavar="HOURS", help="Speech of flite's voices to add, with exact phones.")] = 0.0,
    texts: Annotated[
        UseAppendAction[tuple[Path, ...]],
        arg(name="text", metavar="FILE", help="What those voices read; by default the sources' own transcripts."),
    ] = (),
    seed: Annotated[int, arg(help="Another number reads out other sentences.")] = 0,
    workers: Annotated[int, arg(help="Processes; each takes one core.")] = 1,
) -> None:
    """Read recordings once, find their phones, add synthetic voices, write one manifest to train on."""
    from oration.commands.prepare import run

    run(sources, out, align, aligner, voices, texts, seed, workers)


@app.command
def converse(
    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="SOURCE", help="Folders, manifests or lhotse cuts.")],
    /,
    *,
    agent: Annotated[
        str, arg(metavar="NAME", help="The agent's voice: a corpus, or corpus/speaker; others are users.")
    ],
    out: Annotated[Path, arg(metavar="DIR", help="Where the dialogues go. The same command again resumes.")],
    hours: Annotated[float, arg(help="How much in all.")] = 1.0,
    seconds: Annotated[float, arg(help="How long each dialogue lasts.")] = 40.0,
    longest: Annotated[float, arg(metavar="SECONDS", help="Clips longer than this are left out.")] = 6.0,
    noises: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(name="noise", metavar="SOURCE", help="Sounds that ask for no answer.")
    ] = (),
    feedback: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(metavar="SOURCE", help='Short utterances such as "mm-hm".')
    ] = (),
    rooms: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(name="room", metavar="SOURCE", help="Impulse responses.")
    ] = (),
    seed: Annotated[int, arg(help="Another number makes other dialogues.")] = 0,
) -> None:
    """Put dialogues in two channels together, with pauses, interruptions, noises and bystanders, to learn from."""
    from oration.commands.converse import run

    beside = {"noises": noises, "feedback": feedback, "rooms": rooms}
    run(sources, agent, out, hours, seconds, longest, beside, seed)


@app.command
def rehearse(
    scripts: Annotated[Positional[tuple[str, ...]], arg(metavar="SCRIPT", help="Which ones; none: all.")] = (),
    /,
    *,
    model: Model = None,
    engine: Annotated[str | None, arg(metavar="KIND", help="Another engine than the model's own.")] = None,
    data: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(metavar="SOURCE", help="What the user says; else the samples.")
    ] = (),
    noises: Annotated[UseAppendAction[tuple[Path, ...]], arg(name="noise", metavar="SOURCE", help="Noises.")] = (),
    feedback: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(metavar="SOURCE", help='Short utterances such as "mm-hm".')
    ] = (),
    seeds: Annotated[int, arg(help="How often each script is played, with other words.")] = 1,
    longest: Annotated[float, arg(metavar="SECONDS", help="Of what the user says at a time.")] = 4.0,
    out: Annotated[Path, arg(metavar="DIR", help="Where the page goes.")] = Path("out/rehearse"),
) -> None:
    """Let a scripted user talk to a model, faster than real time, and measure who took the floor when."""
    from oration.commands.rehearse import run

    run(scripts, model, engine, data, noises, feedback, seeds, longest, out)


@app.command
def train(
    recipe: Annotated[Positional[str], arg(metavar="RECIPE", help="A recipe's name, or a Python file.")],
    /,
    *,
    data: Annotated[Path, arg(metavar="DIR", help="Folder that `oration prepare` wrote.")],
    out: Annotated[Path, arg(metavar="DIR", help="Model folder. The same command again resumes.")],
    part: Annotated[str | None, arg(metavar="NAME", help="Only this part, such as units.encoder or vocoder.")] = None,
    device: Annotated[Device, arg(help="Where to compute.")] = "auto",
    settings: Settings = (),
    parts_of: Annotated[
        Path | None, arg(metavar="DIR", help="Model to take parts from that are the same and need no training.")
    ] = None,
) -> None:
    """Train a recipe, or go on where its training stopped."""
    from oration.commands.train import run

    run(recipe, data, out, part, device, settings, parts_of)


@app.command
def reply(
    recording: Annotated[
        Positional[Path | None], arg(metavar="RECORDING", help="The prompt; or none, with --text.")
    ] = None,
    /,
    *,
    out: Annotated[Path | None, arg(metavar="FILE", help="Recording (or .txt) to write; text is always shown.")] = None,
    text: Annotated[str | None, arg(metavar="TEXT", help="What the prompt says, or what is to be said.")] = None,
    task: Annotated[str | None, arg(metavar="NAME", help="One of the model's tasks; by default its first.")] = None,
    model: Model = None,
    seconds: Annotated[float, arg(help="Length of the continuation.")] = 5.0,
    temperature: Annotated[float, arg(help="0: the likeliest; 1: as the model sees it; higher: wilder.")] = 0.8,
    top_k: Annotated[int, arg(help="Draw among the k likeliest symbols only; 0: among all.")] = 0,
    seed: Annotated[int, arg(help="Another number gives another continuation.")] = 0,
    voice: Voice = None,
    weights: Weights = None,
    overwrite: Overwrite = False,
) -> None:
    """Go on from a recording, or answer it, as the model was made to; in speech, in text, or both."""
    from oration.commands.speak import Sampler
    from oration.commands.speak import reply as run

    sampler = Sampler(temperature=temperature, top_k=top_k)
    run(recording, text, out, model, task, seconds, sampler, seed, voice, weights, overwrite)


@app.command
def talk(
    *,
    heard: Annotated[
        Path | None, arg(name="in", metavar="FILE", help="What you say; by default the microphone hears it.")
    ] = None,
    out: Annotated[
        Path | None, arg(metavar="FILE", help="Both of you, you on the left: .wav or .flac. No loudspeaker then.")
    ] = None,
    model: Model = None,
    engine: Annotated[str | None, arg(metavar="KIND", help="Another engine than the recipe's own.")] = None,
    fast: Annotated[bool, arg(help="Do not wait for time to pass, where a file is heard and another written.")] = False,
    seconds: Annotated[float, arg(help="Length of a reply, at most.")] = 6.0,
    after: Annotated[float, arg(metavar="SECONDS", help="How long to go on when the file is over.")] = 8.0,
    temperature: Annotated[float, arg(help="0: the likeliest; 1: as the model sees it; higher: wilder.")] = 0.8,
    seed: Annotated[int, arg(help="Another number gives other replies.")] = 0,
    voice: Voice = None,
    weights: Weights = "fp32",
    overwrite: Overwrite = False,
) -> None:
    """Converse: with microphone and loudspeaker, or with what a file says; shows who has the floor, sums up delays."""
    from oration.commands.talk import run

    run(heard, out, model, engine, fast, seconds, after, temperature, seed, voice, weights, overwrite)


@app.command
def serve(
    *,
    model: Model = None,
    echo: Annotated[bool, arg(help="No model: say back what is heard, one frame later.")] = False,
    engine: Annotated[str | None, arg(metavar="KIND", help="Another engine than the model's own.")] = None,
    host: Annotated[str, arg(help="Address to listen on; others than this machine's want tokens.")] = "127.0.0.1",
    port: Annotated[int, arg(help="0: any free one, which is printed.")] = 8710,
    origins: Annotated[
        UseAppendAction[tuple[str, ...]], arg(name="origin", metavar="URL", help="A page that may connect, too.")
    ] = (),
    token_file: Annotated[Path | None, arg(metavar="FILE", help="Lines of `name token`: who may connect.")] = None,
    exposed: Annotated[bool, arg(help="Listen beyond this machine without tokens.")] = False,
    max_sessions: Annotated[int, arg(metavar="N", help="Sessions at once.")] = 8,
    per_address: Annotated[int, arg(metavar="N", help="Of one address, and of one token.")] = 8,
    record: Annotated[
        Path | None, arg(metavar="DIR", help="Keep logs of sessions whose client asks for it; by default of none.")
    ] = None,
    replay: Annotated[Path | None, arg(metavar="LOG", help="Do not serve: run a log again, and compare.")] = None,
) -> None:
    """Let others talk to a model: a page, and WebSockets for our protocol, OpenAI's Realtime and Moshi's."""
    from oration.commands.serve import Door, run

    door = Door(host, port, origins, token_file, exposed, max_sessions, per_address, record)
    run(model, echo, engine, door, replay)


@app.command
def encode(
    recording: Recording,
    /,
    *,
    out: Annotated[Path, arg(metavar="FILE", aliases=("-o",), help="Streams as .orat (small), .json or .npz.")],
    model: Model = None,
    entropy: Annotated[bool, arg(help="Pack symbols bit by bit, also where entropy coding is shorter.")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Turn a recording into streams: units, pitch, voice."""
    from oration.commands.speak import encode as run

    run(recording, out, model, entropy, overwrite)


@app.command
def decode(
    streams: Annotated[Positional[Path], arg(metavar="STREAMS", help="A file that `oration encode` wrote.")],
    /,
    *,
    out: Annotated[Path, arg(metavar="FILE", aliases=("-o",), help="Recording to write: .wav, .flac, .ogg or .opus.")],
    model: Model = None,
    voice: Voice = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn streams back into a recording."""
    from oration.commands.speak import decode as run

    run(streams, out, model, voice, overwrite)


app.command(score, name="score")


@app.command
def show(
    model: Annotated[
        Positional[str], arg(metavar="RECIPE", help="A recipe, a Python file, a model folder, or an .orat file.")
    ],
    recording: Annotated[
        Positional[Path | None], arg(metavar="RECORDING", help="Draw the grids that this becomes; or jfk.flac.")
    ] = None,
    /,
    *,
    out: Annotated[Path | None, arg(metavar="DIR", help="Folder for a page with all cells of the grids.")] = None,
    text: Annotated[str | None, arg(metavar="TEXT", help="What the recording says, where a task reads it.")] = None,
    task: Annotated[str | None, arg(metavar="NAME", help="Only this task.")] = None,
    settings: Settings = (),
) -> None:
    """What a recipe is made of: streams, the grid of a second or a recording, delays, sizes; or what is in a file."""
    if model.lower().endswith(".orat"):
        from oration.commands import contents

        given = {"a recording": recording, "--out": out, "--text": text, "--task": task, "--set": settings}
        contents.run(Path(model), given)
        return
    from oration.commands.show import run

    run(model, recording, text, task, out, settings)


@app.command
def check(
    recipes: Annotated[Positional[tuple[str, ...]], arg(metavar="RECIPE", help="Recipes, or Python files.")] = (),
    /,
    *,
    every: Annotated[bool, arg(name="all", help="All recipes of the package.")] = False,
    data: Annotated[Path | None, arg(metavar="DIR", help="Folder with manifest.jsonl; else the samples.")] = None,
    out: Out = Path("out/check"),
) -> None:
    """Whether recipes work: they build, learn, reply and load again, at their smallest."""
    from oration.commands.check import run

    sys.exit(run(recipes, every, data, out))


@app.command
def doctor() -> None:
    """What is installed, which device there is, and what would break."""
    from oration.commands.doctor import run

    sys.exit(run())


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `oration`. Exit codes: 0, 2 for a mistake of the user's, 1 for one of ours, 130 after Ctrl-C."""
    threads.limit()
    warnings.filterwarnings("ignore", message="pkg_resources")  # pyworld's, which the user cannot mend
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
        app.cli(prog="oration", description=DESCRIPTION, args=[a for a in given if a != "--debug"], config=config)
    except KeyboardInterrupt as stopped:
        print(f"oration: {stopped or 'stopped'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as failure:
        if debug:
            raise
        sys.exit(_tell(failure))


def _tell(failure: Exception) -> int:
    """One sentence on stderr; the exit code."""
    from oration.core import OrationError

    if isinstance(failure, OrationError):
        print(f"oration: {failure}", file=sys.stderr)
        return 2
    print(
        f"oration: something went wrong that should not ({type(failure).__name__}: {failure}); "
        "run the same command again with --debug to see where",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    main()
