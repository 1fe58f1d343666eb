"""What the documents say is true: code runs, commands and options exist, links lead somewhere, the tree is the tree."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def model_of_the_package(tiny_model, monkeypatch):
    """The shipped model where it lies in the repository, else one of its shape."""
    from oration import model

    if not (model.DEFAULT / "recipe.json").is_file():
        monkeypatch.setattr(model, "DEFAULT", tiny_model)


def test_the_reply_in_six_lines_runs(tmp_path, monkeypatch, capsys, model_of_the_package):
    (code,) = blocks(README, "python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == 6
    (tmp_path / "oration").mkdir()
    (tmp_path / "oration" / "samples").symlink_to(ROOT / "oration" / "samples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "reply.wav").stat().st_size > 16_000
    assert "s are new" in capsys.readouterr().out


def test_the_tree_is_true():
    (tree,) = (block for block in blocks(README, "") if block.startswith("oration/\n"))
    inside = re.findall(r"^  (\w+)/ +\S", tree, re.MULTILINE)
    there = {path.name for path in (ROOT / "oration").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert sorted(inside) == sorted(set(inside))
    assert set(inside) - {"pocket"} == there - {"pocket"}
    for name in re.findall(r"^(\w+)/ +\S", tree, re.MULTILINE):
        assert (ROOT / name).is_dir()


def test_the_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in blocks(README, "sh")[0].splitlines():
        make, target = line.split()
        assert make == "make"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_commands_and_options_exist(path, capsys, monkeypatch):
    from oration import cli

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for line in "\n".join(blocks(path.read_text(encoding="utf-8"), "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] != "oration":
            continue
        command = words[1:3] if words[1] == "score" else words[1:2]
        with pytest.raises(SystemExit) as left:
            cli.main([*command, "--help"])
        assert left.value.code == 0, line
        known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", capsys.readouterr().out))
        assert {word for word in words if word.startswith("--")} <= known, line
        settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        if not words[2:] or words[2].endswith(".py"):
            continue
        from oration.recipe import find

        if settings or words[1] == "train":
            find(words[2]).with_set(settings)


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_recipe_of_the_guide_is_one(tmp_path):
    from oration.model import SpeechLM
    from oration.recipe import find

    (code,) = blocks((ROOT / "docs" / "add-a-recipe.md").read_text(encoding="utf-8"), "python")
    (tmp_path / "small.py").write_text(code, encoding="utf-8")
    recipe = find(str(tmp_path / "small.py"))
    assert recipe.name == "small"
    SpeechLM(recipe.tiny()).save(tmp_path / "model")
    assert SpeechLM.load(tmp_path / "model").recipe == recipe.tiny()
