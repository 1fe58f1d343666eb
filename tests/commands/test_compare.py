"""`oration score compare`: the same symbols cost what the models say, whatever the layout; others are refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from oration.audio.io import write
from oration.commands.score.compare import run
from oration.core import BadInput, Waveform
from oration.data.manifest import Clip, write_manifest
from oration.model import SpeechLM
from oration.recipe import find


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two models of different layouts on one codec, and a third with a codec of its own."""
    folder, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    clips = []
    for number in range(3):
        wave = Waveform((0.1 * rng.standard_normal(16_000)).astype(np.float32), 16_000)
        path = write(wave, folder / f"{number}.wav")
        clips.append(Clip(str(number), path, 1.0, "dev", "ann", "ah", corpus="noise"))
    write_manifest(clips, folder / "manifest.jsonl")
    for name in ("lab_parallel", "lab_flat"):
        SpeechLM(find(name).tiny()).save(folder / name)
    shutil.copy(folder / "lab_parallel" / "codec.safetensors", folder / "lab_flat" / "codec.safetensors")
    recipe = find("lab_delay").tiny()
    codec = replace(recipe.tokenizers[0], size=9)
    SpeechLM(replace(recipe, tokenizers=(codec,), vocoder=codec.vocoder())).save(folder / "other")
    return folder


def test_two_layouts_are_set_side_by_side(runs, tmp_path, capsys):
    run(runs, [runs / "lab_parallel", runs / "lab_flat"], "dev", 0, tmp_path / "page")
    said = capsys.readouterr().out
    assert "nats a second" in said
    figures = json.loads(next((tmp_path / "page").glob("*.json")).read_text())
    first, second = figures["results"]
    assert first["below"] is None
    assert second["below"]["value"] == pytest.approx(first["nats"]["value"] - second["nats"]["value"])
    assert set(first["streams"]) == {f"codec.{k}" for k in range(4)}
    assert (first["steps"], second["steps"]) == (12.5, 50.0)
    assert (tmp_path / "page" / "index.html").is_file()


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    with pytest.raises(BadInput, match="at least two model folders"):
        run(runs, [runs / "lab_flat"], "dev", 0, tmp_path / "page")
    with pytest.raises(BadInput, match=r"says 'codec.\d' otherwise"):
        run(runs, [runs / "lab_parallel", runs / "other"], "dev", 0, tmp_path / "page")
