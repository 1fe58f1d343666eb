"""`oration train` and `oration prepare` from the command line, to the end, again, and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from oration import cli
from oration.audio.io import write
from oration.core import Waveform

RECIPE = '''"""The smallest units. This repository's own."""
from dataclasses import replace
from oration.recipes.units_mfcc import recipe as base
from oration.train import Steps
small = base.tiny()
recipe = replace(small, training=(replace(small.training[0], budget=Steps(STEPS)),))
'''


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def data(tmp_path, hum):
    """A prepared folder, made by the command itself; one of its recordings cannot be used."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for number in range(30):
        noise = np.random.default_rng(number).standard_normal(8000) * 0.02
        write(
            Waveform((hum.samples[number * 500 :][:8000] + noise).astype(np.float32), 16_000), sounds / f"{number}.wav"
        )
    (sounds / "broken.wav").write_text("no sound", encoding="utf-8")
    assert call("prepare", sounds, "--out", tmp_path / "data", "--no-align") == 0
    return tmp_path / "data"


def recipe_file(folder, steps):
    path = folder / "mine.py"
    path.write_text(RECIPE.replace("STEPS", str(steps)), encoding="utf-8")
    return path


def call(*arguments):
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code
    return 0


def test_prepare_says_what_it_could_not_use(data, capsys):
    report = json.loads((data / "report.json").read_text(encoding="utf-8"))
    assert report["clips"] == 30
    assert "broken" in report["refused"][0][0]
    assert call("prepare", "--out", data, "--voices", -1) == 2
    assert call("prepare", data, "--out", data, "--workers", 0) == 2
    assert "--workers 0" in capsys.readouterr().err


def test_train_runs_and_the_same_command_again_does_nothing(data, tmp_path, capsys):
    mine, out = recipe_file(tmp_path, 4), tmp_path / "model"
    assert call("train", mine, "--data", data, "--out", out, "--part", "units") == 0
    assert "units_mfcc-tiny: trained units" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in out.glob("*.*")}
    assert set(before) == {"recipe.json", "units.safetensors"}
    assert call("train", mine, "--data", data, "--out", out) == 0
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == before
    assert call("train", mine, "--data", data, "--out", out, "--set", "tokenizers.0.clusters=7") == 2
    assert "another --out" in capsys.readouterr().err


def test_ctrl_c_saves_and_says_how_to_go_on(data, tmp_path):
    mine, out = recipe_file(tmp_path, 10**6), tmp_path / "model"
    command = [sys.executable, "-m", "oration.cli", "train", str(mine), "--data", str(data), "--out", str(out)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    metrics = out / "training" / "0-units" / "metrics.jsonl"
    until = time.monotonic() + 200
    while not (metrics.is_file() and metrics.stat().st_size > 200):
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=100)
    assert running.returncode == 130
    last = said.strip().splitlines()[-1]
    assert last.startswith("oration: stopped and saved at step ")
    step = int(last.split("step ")[1].split()[0])
    assert (out / "training" / "0-units" / f"step-{step:08d}").is_dir()


def test_parts_are_taken_from_another_model(data, tmp_path, capsys):
    first, second = recipe_file(tmp_path, 2), tmp_path / "second.py"
    assert call("train", first, "--data", data, "--out", tmp_path / "first") == 0
    second.write_text(
        '"""A codec beside the units of another model. This repository\'s own."""\n'
        "from dataclasses import replace\n"
        "from oration.recipes.codec_mel import recipe as codec\n"
        "from oration.recipes.units_mfcc import recipe as units\n"
        "both = codec.tiny()\n"
        "recipe = replace(both, tokenizers=(*both.tokenizers, units.tiny().tokenizers[0]))\n",
        encoding="utf-8",
    )
    out = ("--data", data, "--out", tmp_path / "out")
    capsys.readouterr()
    assert call("train", second, *out, "--parts-of", tmp_path / "first", "--set", "tokenizers.1.clusters=5")
    assert "has no part for 'codec_mel-tiny'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "units.safetensors").exists()
    other = ("--data", data, "--out", tmp_path / "other")
    assert call("train", second, *other, "--parts-of", tmp_path / "first") == 0
    taken = (tmp_path / "other" / "units.safetensors").read_bytes()
    assert taken == (tmp_path / "first" / "units.safetensors").read_bytes()
