"""The pages that scripts write: docs/layouts.md is what its script gives, docs/systems.md tells what tests saw."""

import doctest
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from oration.core import BadInput
from oration.layouts import Chunk, Layout, Line, Say, Stack, Time, Weave
from oration.recipe import find, names

ROOT = Path(__file__).parents[1]


def script(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def layouts():
    return script("layouts")


@pytest.fixture(scope="module")
def systems():
    return script("systems")


def test_the_page_of_layouts_is_up_to_date(layouts):
    assert (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8") == layouts.page(), "run: python docs/layouts.py"


def test_every_kind_of_layout_can_be_placed_and_read(layouts):
    assert len(layouts.KINDS) == 13
    assert layouts.HEAD.count("Thirteen") == 1
    for kind in layouts.KINDS:
        layout = layouts.blocks(kind)
        example = layouts.example(layout, layouts.SECONDS, layouts.PROMPT)
        grid = layout.place([example], layouts.SPECS, kind.predict.split(", "))
        (read,) = layout.read(grid, layouts.SPECS)
        assert {name: len(items) for name, items in read.items()} == {name: len(s) for name, s in example.items()}


def test_headings_are_where_the_table_links_to(layouts):
    text = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert targets == {layouts.anchor(title) for title in re.findall(r"^## (.+)$", text, re.M)}


def test_signs(systems):
    assert doctest.testmod(systems).failed == 0
    levels = tuple(f"codec.{i}" for i in range(3))
    shown = systems.signs(Layout((Say((1,)), Line("text", row="text"), Stack(levels))), ("codec.1", "codec.2"))
    assert shown == "Say, L text, S codec.0 codec.1-2!"
    assert systems.signs(Layout((Weave(("a", "b"), by=Time()),)), ("a",)) == "W a! b by time"
    assert systems.signs(Layout((Weave(("a", "b"), by=Chunk(0.16)),)), ()) == "W a b by 160 ms"


def test_a_row_for_every_recipe_and_not_computed_where_nothing_was_run(systems):
    learned = [{"lm": "ulm", "nats": 1.5, "unigram": 2.25, "symbols": 9}]
    works = {"name": "gslm", "holds": True, "trouble": "", "learned": learned, "replied": "speech", "loads": True}
    seen = {
        "works": {"gslm": works},
        "parity": {"slam": {"another": {"passed": 2, "failed": 1}}, "bark": {"theirs": {"passed": 1}}},
    }
    text = systems.page([find("gslm"), find("slam"), find("units_mfcc")], seen)
    assert "| `gslm` | yes | 1.50 (2.25) | speech | yes | not computed |" in text
    assert (
        "| `slam` | not computed | not computed | not computed | not computed | another: 2 of 3 tests passed |" in text
    )
    assert "| `bark` | theirs: 1 test |" in text
    row = next(line for line in text.splitlines() if line.startswith("| `slam` | [2502.15814]"))
    assert "L units.runs!" in row
    assert "358 M (358 M)" in row
    assert "~" in row, "merged units have no rate"
    assert text.count("| `units_mfcc` |") == 2
    codec = {**works, "name": "dac_16k", "learned": [], "copied": [{"nats": 0.5, "flat": 1.25}]}
    seen = {"works": {"dac_16k": codec}, "parity": {"dac": {"theirs": {"passed": 3}}}}
    text = systems.page([find("dac_16k"), find("slam_omni")], seen | {"parity": {**seen["parity"], "slam": {}}})
    assert "| `dac_16k` | yes | 0.50 (1.25) | speech | yes | theirs: 3 tests |" in text
    assert "74 M (74 M)" in text
    broken = {**works, "holds": False, "trouble": "no data"}
    assert "no: no data" in systems.was_seen(find("gslm"), {"works": {"gslm": broken}})


def test_a_recipe_that_does_not_build_has_a_row_all_the_same(systems, monkeypatch):
    def fail(recipe):
        raise BadInput("no such part")

    monkeypatch.setattr(systems, "built", fail)
    cells = systems.made_of(find("gslm"))
    assert cells[2] == "L units.runs!"
    assert cells.count("not computed") == 4


def test_tests_tell_what_they_saw_of_systems(tmp_path):
    (tmp_path / "conftest.py").write_text(
        (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "test_seen.py").write_text(
        "import json, pytest\n"
        "@pytest.mark.parity('one', 'two', reference='theirs')\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_same(n):\n    assert n == 1\n"
        "def test_works(record_property):\n    record_property('works', json.dumps({'name': 'one', 'holds': True}))\n",
        encoding="utf-8",
    )
    seen = tmp_path / "seen.json"
    seen.write_text(json.dumps({"works": {"old": {"name": "old"}}, "parity": {}}), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--systems", str(seen), str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, timeout=120, check=False)
    found = json.loads(seen.read_text(encoding="utf-8"))
    assert set(found["works"]) == {"old", "one"}
    assert found["parity"]["two"] == {"theirs": {"passed": 1, "failed": 1}}


@pytest.fixture(scope="module")
def codecs():
    sys.path.append(str(ROOT / "docs"))  # it imports the script beside it
    try:
        return script("codecs")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_the_page_of_codecs_has_a_row_for_each_and_tells_what_was_seen(codecs):
    assert doctest.testmod(codecs).failed == 0
    old = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8")
    copied = [{"part": "codec", "nats": 0.5, "flat": 1.25, "kbps": 1.1, "whole": True, "live": "late"}]
    seen = {"works": {"dac_16k": {"copied": copied, "loads": True}}, "parity": {"dac": {"theirs": {"passed": 3}}}}
    some = [find(name) for name in ("dac_16k", "mimi", "gslm", "units_mfcc")]
    text = codecs.page(old, some, seen, {"mimi": {"encode": "2x", "decode": "4x"}})
    assert "| `dac_16k` | 16000 | 50 | 12 of 1024 | 6 | 74.18 | 74.2 |" in text
    assert "| `dac_16k` | 0.50 (1.25) | the same, late | yes | theirs: 3 tests | not computed |" in text
    assert "| `mimi` | not computed | not computed | not computed | not computed | 2x, 4x |" in text
    assert "gslm" not in text
    assert "units_mfcc" not in text
    assert codecs.page(text, some, seen, {"mimi": {"encode": "2x", "decode": "4x"}}) == text


def test_every_codec_of_the_package_is_on_its_page(codecs):
    text = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8")
    for name in names():
        if codecs.codec_of(find(name)) is not None:
            assert text.count(f"| `{name}` |") == 2, "run: python docs/codecs.py"


def test_ratios_are_read_from_what_benchmarks_print(codecs):
    frames = "encode, 1 stream, one frame of 80 ms each\n\n| variant | ms a frame | x moshi | least - greatest |\n"
    rows = "|---|---|---|---|\n| moshi | 9 | 1.00 | 1 - 1 |\n| oration | 3 | 3.00 | 2 - 4 |\n"
    whole = (
        "encodec: 1 x 60 s\n\n| variant | encode s/s | x package | decode s/s | x package |\n|---|---|---|---|---|\n"
    )
    row = "| package | 2 | 1 | 2 | 1 |\n| oration | 1 | 2.10 (2 - 3) | 1 | 2.50 (2 - 3) |\n"
    found = codecs.speeds_in(f"torch\n\n{frames}{rows}\n{frames.replace('encode', 'decode', 1)}{rows}\n{whole}{row}")
    assert found == {"mimi": {"encode": "3.00x", "decode": "3.00x"}, "encodec": {"encode": "2.10x", "decode": "2.50x"}}
