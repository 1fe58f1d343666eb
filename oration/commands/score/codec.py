"""`oration score codec`: codecs beside Opus, codec2 and Griffin-Lim on held-out clips, over their kbit/s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oration.audio.io import info
from oration.commands.results import finish
from oration.commands.score.clips import choose, speakers, spread
from oration.core import BadInput, Waveform
from oration.core.decoder import Decoder
from oration.data.manifest import Clip
from oration.evaluate.mend import mend_newlines
from oration.evaluate.rate_distortion.compare import rate_distortion, steps
from oration.evaluate.rate_distortion.models import Ours
from oration.evaluate.rate_distortion.page import sections
from oration.evaluate.rate_distortion.peers import RATE, System, peers
from oration.model import SpeechLM
from oration.recipe import named_after
from oration.train.progress import Progress

LOSSLESS = (".flac", ".wav", ".aiff", ".aif")
SHOWN = 3
"""Clips to hear on the page."""


def run(
    sources: Sequence[Path],
    models: Sequence[Path],
    levels: Sequence[int],
    references: Sequence[str],
    without: Sequence[str],
    split: str,
    count: int,
    mend: bool,
    workers: int,
    out: Path,
) -> None:
    """One line a codec, one point a rate.

    Raises:
        BadInput: no clips, a model that is no codec, a rate or a number of levels that a codec does not have.
    """
    ours = codecs(models)
    systems: list[System] = [at for codec in ours for at in codec.at(levels)]
    systems = [*peers(references, [codec.frames for codec in ours]), *systems]
    if workers < 1:
        raise BadInput(f"--workers {workers}: expected 1 or more processes")
    if not systems:
        raise BadInput("there is nothing to score; name a codec with --model, or codecs of others with --reference")
    chosen, kind = held_out(sources, split, count)
    waves = [_heard(clip, mend) for clip in chosen]
    texts = [clip.text or None for clip in chosen]
    with Progress("code and measure", 0, steps(len(waves), len(systems))) as bar:
        found = rate_distortion(
            waves,
            texts,
            systems,
            clusters=speakers(chosen),
            workers=workers,
            show=spread(range(len(waves)), SHOWN),
            without=without,
            advance=bar.advance,
        )
    facts = {
        "codecs": ", ".join(codec.name for codec in ours) or "none of ours",
        "data": f"{', '.join(dict.fromkeys(source.name or str(source) for source in sources))}, {kind}",
        "clips": f"{len(chosen)}, {sum(wave.seconds for wave in waves):.0f} s, heard at {RATE // 1000} kHz",
    }
    finish(out, "What a kilobit of speech buys", sections(found, texts), facts, found)


def codecs(folders: Sequence[Path]) -> list[Ours]:
    """The codecs of model folders; those of one name go by their folders too.

    Raises:
        BadInput: a model whose vocoder is not its codec read backwards.
    """
    models = [SpeechLM.load(folder) for folder in folders]
    names = [model.recipe.name for model in models]
    found = []
    for number, (model, folder) in enumerate(zip(models, folders, strict=True)):
        vocoder = model.recipe.vocoder
        if not isinstance(vocoder, Decoder):
            what = "has no vocoder" if vocoder is None else f"speaks by a {type(vocoder).__name__}"
            raise BadInput(
                f"{str(folder)!r} is no codec: its recipe {model.recipe.name!r} {what}, not by the decoder of its "
                "tokenizer; measure it with oration score resynthesis"
            )
        name = names[number] if names.count(names[number]) == 1 else f"{names[number]} ({folder.name}, {number + 1})"
        part = model.part(named_after(vocoder.of))
        found.append(Ours(name, part, vocoder.needs, {stream: model.specs[stream] for stream in vocoder.needs}))
    return found


def held_out(sources: Sequence[Path], split: str, count: int) -> tuple[list[Clip], str]:
    """The clips of recordings, manifests and the folders that hold them, and what kind they are.

    Lossless clips alone where there are any: what another codec did to the others would be held against these.

    Raises:
        BadInput: no source, or as `choose` and `oration.audio.io.info` have it.
    """
    if not sources:
        raise BadInput("there is nothing to measure on; name a folder with manifest.jsonl, a manifest or recordings")
    clips: list[Clip] = []
    said = []
    for source in sources:
        if source.is_dir() or source.name.endswith((".jsonl", ".jsonl.gz")):
            clips += choose(source, split)
            said.append(split)
        else:
            clips.append(Clip(source.stem, source, info(source).seconds))
            said.append("named recordings")
    if count < 0:
        raise BadInput(f"--clips {count}: expected 0 (all) or more")
    clean = [clip for clip in clips if clip.path.suffix.lower() in LOSSLESS]
    kind = f"{', '.join(dict.fromkeys(said))}, {'lossless' if clean else 'lossy'} clips"
    return spread(clean or clips, count), kind


def _heard(clip: Clip, mend: bool) -> Waveform:
    wave = clip.wave(rate=RATE)
    return mend_newlines(wave).wave if mend else wave
