"""Training a recipe: its stages in order, each part left in the model folder for those that build on it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from oration.codecs import Codec
from oration.core import BadInput, dumps
from oration.core.files import replace_file
from oration.data.manifest import Clip, read_manifest
from oration.data.material import Material
from oration.dry_run import dry_run
from oration.evaluate.training import training_page
from oration.lms import LM
from oration.model import SpeechLM
from oration.recipe import Recipe
from oration.train.feed import Packed
from oration.train.loop import Batches, Loop
from oration.train.progress import Progress
from oration.train.stage import Train


def fit(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    part: str | None = None,
    device: str = "cpu",
    parts_of: Path | None = None,
) -> SpeechLM:
    """Train every stage that `out` does not hold yet. Run it again after an interruption: it resumes.

    Args:
        data: folder with manifest.jsonl, as `oration prepare` writes it.
        out: model folder; gets recipe.json, one safetensors file per part, and training/ with logs and checkpoints.
        part: only the stages of this part (`units.encoder` or `units` or `vocoder` ...).
        parts_of: a model folder; parts that are the same there and that no stage trains are taken from it.

    Raises:
        BadInput: `out` holds another recipe, the data lacks what a stage needs, or `parts_of` has nothing to give.
    """
    clips = read_manifest(data)
    left = [
        stage
        for number, stage in enumerate(recipe.training)
        if part in (None, stage.part) and not _done(out, number, stage).is_file()
    ]
    dry_run(replace(recipe, training=tuple(left)), clips)
    _claim(recipe, out)
    if parts_of is not None:
        _take(recipe, parts_of, out)
    _keep_ready(recipe, out)
    for number, stage in enumerate(recipe.training):
        done = _done(out, number, stage)
        if done.is_file() or (part is not None and stage.part != part):
            continue
        model = SpeechLM(recipe, out)
        _run(model, number, stage, clips, data / "cache", out, device)
        _record(recipe, out)
        replace_file(done, json.dumps({"steps": stage.budget.steps}))
    return SpeechLM(SpeechLM.recipe_of(out), out)  # as recorded, it needs no text LM's folder


def _done(out: Path, number: int, stage: Train) -> Path:
    """The file that says a stage is over."""
    return out / "training" / f"{number}-{stage.part}" / "done.json"


def _take(recipe: Recipe, source: Path, out: Path) -> None:
    """Copy the weights of parts that are alike in both and that no stage trains."""
    theirs, trained = SpeechLM.recipe_of(source).parts(), {stage.part.partition(".")[0] for stage in recipe.training}
    wanted = {name: config for name, config in recipe.parts().items() if hasattr(config, "build")}
    open_ = {name: config for name, config in wanted.items() if name not in trained}
    files = [f"{name}.safetensors" for name, config in open_.items() if theirs.get(name) == config]
    files = [file for file in files if (source / file).is_file()]
    inside = [name for name, config in open_.items() if name in theirs and _inside(config, theirs[name])]
    for name in inside:
        if not (out / f"{name}.safetensors").is_file():
            model = SpeechLM(recipe)
            model.part(name).inner.load_state_dict(SpeechLM.load(source).part(name).state_dict())
            model.save_part(name, out)
    if not files and not inside:
        raise BadInput(
            f"{source} has no part for {recipe.name!r}: it has {', '.join(theirs)}, and wanted as they are here "
            f"are {', '.join(name for name in wanted if name not in trained) or 'none'}; name another model folder"
        )
    for file in files:
        if not (out / file).is_file():
            replace_file(out / file, (source / file).read_bytes())


def _inside(config: Any, theirs: Any) -> bool:
    """Whether a tokenizer hears both parties through theirs, of which it may take fewer streams."""
    mine = getattr(config, "of", None)
    if not isinstance(mine, Codec) or not isinstance(theirs, Codec):
        return False
    return replace(mine, levels=None, prefix="") == replace(theirs, levels=None, prefix="")


def _keep_ready(recipe: Recipe, out: Path) -> None:
    """Save what needs no training but came from elsewhere (a text LM's tokenizer), so that `out` needs nothing else."""
    model = SpeechLM(recipe, out)
    for name, config in recipe.parts().items():
        missing = getattr(config, "ready", False) and not (out / f"{name}.safetensors").is_file()
        if missing and any(len(tensor.flatten()) for tensor in model.part(name).state_dict().values()):
            model.save_part(name, out)


def _claim(recipe: Recipe, out: Path) -> None:
    """Write recipe.json, or see that the one there has the same parts."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / "recipe.json").is_file():
        old = SpeechLM.recipe_of(out)
        theirs = old.parts()
        differ = [
            n for n, config in recipe.parts().items() if theirs.get(n) != config and theirs.get(n) != _pinned(config)
        ]
        if differ or set(theirs) - set(recipe.parts()):
            raise BadInput(
                f"{out} holds the recipe {old.name!r}, whose {', '.join(differ) or 'parts'} differ from "
                f"{recipe.name!r} as asked for; give another --out, or the same settings as before"
            )
    _record(recipe, out)


def _record(recipe: Recipe, out: Path) -> None:
    """recipe.json: a language model that has its weights no longer needs the text LM it started from."""
    lms = tuple(_pinned(lm) if (out / f"{lm.name}.safetensors").is_file() else lm for lm in recipe.lms)
    replace_file(out / "recipe.json", dumps(replace(recipe, lms=lms)))


def _pinned(config: Any) -> Any:
    return config.pinned() if isinstance(config, LM) else config


def _run(model: SpeechLM, number: int, stage: Train, clips: list[Clip], cache: Path, out: Path, device: str) -> None:
    folder = out / "training" / f"{number}-{stage.part}"
    part = model.part(stage.part)
    corpora = [_material(model, stage, clips, split, cache) for split in ("train", "dev")]
    feeds: list[Batches] = [
        stage.feed.batches(corpus, stage.data, stage.seed + i, part) for i, corpus in enumerate(corpora) if corpus.clips
    ]
    specs = model.specs if isinstance(stage.feed, Packed) else stage.feed.specs(corpora[0])
    objective = stage.objective.build(part, specs)
    torch.manual_seed(stage.seed)
    loop = Loop(stage, part, objective, feeds[0], folder, dev=feeds[1] if len(feeds) > 1 else None, device=device)
    loop.run()
    training_page(folder / "metrics.jsonl", f"{model.recipe.name}: training of {stage.part}")
    model.save_part(stage.part.partition(".")[0], out)


def _material(model: SpeechLM, stage: Train, clips: list[Clip], split: str, cache: Path) -> Material:
    """The clips of one split that the stage draws from, with the streams that it asks for."""
    mine = [clip for clip in clips if clip.split == split]
    if not mine and split == "train":
        splits = sorted({c.split for c in clips})
        raise BadInput(f"the data has no clips of the split 'train', only {splits}; prepare some")
    if mine:
        mine = [clip for clip, weight in zip(mine, stage.data.weights(mine), strict=True) if weight > 0]
    # A part that is trained on sound names the rate it works at, which need not be the vocoder's.
    hears = "wave" in getattr(stage.feed, "streams", ())
    rate = int(getattr(model.part(stage.part), "rate", model.rate)) if hears else None
    return model.material(mine, model.needs(stage), cache, functools.partial(_track, split), rate)


def _track(split: str, items: Iterable[int], title: str) -> Iterable[int]:
    items = list(items)
    with Progress(f"{title} ({split})", 0, len(items)) as bar:
        for item in items:
            yield item
            bar.advance()
