"""`oration check`: what works is told in a table, as figures and by the exit code."""

import json
from dataclasses import replace

import pytest

from oration import cli
from oration.commands.check import report, why
from oration.evaluate.copies import Copied
from oration.works import Learned, Works

MINE = """\"\"\"Mine: k-means over MFCCs.\"\"\"
from dataclasses import replace
from oration.recipes.units_mfcc import recipe as base
recipe = replace(base, name="mine"{more})
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def check(*arguments):
    try:
        cli.main(["check", *map(str, arguments)])
    except SystemExit as left:
        return left.code
    return 0


def test_the_users_recipe_works_and_its_page_says_so(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.format(more=""), encoding="utf-8")
    assert check("mine.py", "--out", "found") == 0
    said = capsys.readouterr()
    assert "mine: works" in said.out
    assert "step" not in said.err, "training keeps quiet"
    (works,) = json.loads((tmp_path / "found" / "index.json").read_text(encoding="utf-8"))["results"]
    assert works["name"] == "mine"
    assert works["holds"]
    assert works["loads"]


def test_a_recipe_that_does_not_work_ends_with_1(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.format(more=", published={'ulm': 1e6}"), encoding="utf-8")
    assert check("mine.py", "--out", "found") == 1
    said = capsys.readouterr().out
    assert "mine: does not work" in said
    assert "0 of 1 work" in (tmp_path / "found" / "index.html").read_text(encoding="utf-8")


def test_mistakes_are_one_sentence(capsys, tmp_path):
    for arguments, wanted in (
        ((), "needs a recipe"),
        (("gslm", "--all"), "one or the other"),
        (("nothing",), "no recipe 'nothing'"),
        (("gslm", "--data", tmp_path), "manifest.jsonl"),
    ):
        assert check(*arguments) == 2
        said = capsys.readouterr().err
        assert wanted in said
        assert said.count("\n") == 1


def test_the_reason_is_the_first_thing_that_is_wrong():
    fine = Works("a", parameters={"lm": 100}, published={"lm": 101.0}, learned=[Learned("lm", 1.0, 2.0, 9)])
    fine.replied, fine.loads = "speech", True
    assert fine.holds
    assert why(fine) == ""
    assert "unigram" in why(Works("a", parameters={"lm": 1}, learned=[Learned("lm", 2.0, 1.0, 9)]))
    assert "published are 200" in why(Works("a", parameters={"lm": 100}, published={"lm": 200.0}))
    assert why(Works("a", trouble="no data.")) == "no data"
    assert "nothing" in why(Works("a", parameters={"lm": 100}))
    assert len(report([fine]).rows) == 1


def test_the_reason_why_a_codec_does_not_work():
    good = Copied("codec", 0.9, 1.0, 1.5, True, "late")
    works = Works("a", parameters={"codec": 100}, copied=[good], replied="speech", loads=True)
    assert works.holds
    assert why(works) == ""
    assert report([works]).rows[0][6:9] == ("0.90", "1.00", "late")
    for bad, wanted in (({"nats": 1.2}, "1.200 nats"), ({"live": ""}, "in pieces"), ({"whole": False}, "length")):
        works.copied = [replace(good, **bad)]
        assert not works.holds
        assert wanted in why(works)
