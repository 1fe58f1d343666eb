"""Every recipe is a plain value: short, sourced, without code, and the same after a trip through its record."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

from oration.core import BadInput, dumps, from_record
from oration.recipe import Recipe, find, names

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "oration" / "recipes"
CODE = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.IfExp, ast.For, ast.While, ast.Try,
    ast.With, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Assert, ast.Global,
)  # fmt: skip
SOURCE = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi\.org/|https?://|[\w-]+/[\w./-]+\.(md|py|yaml)")


def every() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_the_list_of_recipes_is_the_folder():
    assert names() == every()


@pytest.mark.parametrize("name", every())
def test_a_recipe_holds_no_code(name: str):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = [node for node in ast.walk(tree) if isinstance(node, CODE)]
    assert not found, f"line {found[0].lineno}: a recipe holds literals, constructor calls and replace, nothing else"
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign}
    assert sum(isinstance(node, ast.Expr) for node in tree.body) == 1, "only the docstring stands alone"


def ours(text: str) -> bool:
    """Not published elsewhere, so that it has no source but a recipe that it derives from."""
    return "this repository" in text


@pytest.mark.parametrize("name", every())
def test_a_recipe_is_short_and_names_its_source(name: str):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(text)) or ""
    assert said, "no docstring"
    assert SOURCE.search(said) or ours(said), "the docstring names no source, such as arXiv:2102.01192"
    values = [node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    assert sum((node.end_lineno or 0) - node.lineno + 1 for node in values) <= 60, "lines of values"


@pytest.mark.parametrize("name", every())
def test_a_recipe_survives_its_record(name: str):
    recipe = importlib.import_module(f"oration.recipes.{name}").recipe
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
    assert from_record(json.loads(dumps(recipe))) == recipe
    assert find(name) == recipe
    assert list(recipe.parts())
    parts = set(recipe.parts())
    for stage in recipe.training:
        assert stage.part.partition(".")[0] in parts, f"a stage trains {stage.part!r}, which is no part"


def test_names_are_forgiving_about_dashes_and_errors_list_what_there_is():
    assert find("units-mfcc").name == "units_mfcc"
    with pytest.raises(BadInput, match="gslm"):
        find("glsm")


def test_a_recipe_of_the_users_is_found_by_its_path(tmp_path: Path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""Mine."""\nfrom dataclasses import replace\n'
        "from oration.recipes.units_mfcc import recipe as base\nrecipe = replace(base, name='mine')\n",
        encoding="utf-8",
    )
    assert find(str(mine)).name == "mine"
    empty = tmp_path / "empty.py"
    empty.write_text('"""Nothing."""\n', encoding="utf-8")
    with pytest.raises(BadInput, match="assigns no recipe"):
        find(str(empty))
    with pytest.raises(BadInput, match="no recipe file"):
        find(str(tmp_path / "missing.py"))


def test_settings_are_typed_by_the_recipe():
    recipe = find("units_mfcc")
    assert recipe.with_set(["tokenizers.0.clusters=64"]).tokenizers[0].clusters == 64
    for setting in ("clusters=many", "size=3", "encoder.bands.0=3", "clusters"):
        with pytest.raises(BadInput, match="--set"):
            recipe.with_set([f"tokenizers.0.{setting}"])
    with pytest.raises(BadInput, match="no place in a tuple of 1"):
        recipe.with_set(["tokenizers.7.clusters=3"])
