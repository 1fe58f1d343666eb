"""The house style, as far as a program can see it: sizes, docstrings, copies, and no path of anyone's machine."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "oration").rglob("*.py"))
WRITTEN = sorted(
    path
    for pattern in ("oration/**/*.py", "tests/**/*.py", "benchmarks/**/*.py", "docs/**/*", "*.md", "*.toml", "Makefile")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".png", ".flac", ".wav")
)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", PACKAGE, ids=ids)
def test_a_file_is_short_and_so_are_its_functions(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "split this file"
    for node in functions(ast.parse(text)):
        assert lines(node) <= 60, f"{node.name} has {lines(node)} lines"
        taken = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg != "self"]
        assert len(taken) <= 12, f"{node.name} takes {len(taken)} parameters"


@pytest.mark.parametrize("path", PACKAGE, ids=ids)
def test_what_is_public_says_what_it_is(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not tree.body:
        return
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        # Up to four lines speak through their name, and the second class of a pair through the first.
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and lines(node) > 4:
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_no_function_is_a_copy_of_another():
    found = defaultdict(list)
    for path in PACKAGE:
        for node in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if lines(node) >= 8:
                found[ast.dump(ast.Module(node.body, []))].append(f"{ids(path)}:{node.lineno} {node.name}")
    assert not [places for places in found.values() if len(places) > 1]


@pytest.mark.parametrize("path", WRITTEN, ids=ids)
def test_no_path_of_a_machine(path: Path):
    if path == Path(__file__):
        return
    found = re.search(r"/(work|home|root|Users)/\w+", path.read_text(encoding="utf-8"))
    assert found is None, f"names the path {found and found.group()}, which exists on one machine only"


@pytest.mark.parametrize("path", PACKAGE, ids=ids)
def test_no_package_that_pulls_in_trouble(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.partition(".")[0] not in {"torchaudio", "torchcodec", "torchvision", "pickle"}, name
