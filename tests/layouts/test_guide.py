"""The layout of docs/add-a-layout.md works as the page says, in one file."""

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import oration.layouts
from oration.core import BadInput, Spec, Stream
from oration.layouts import Block, Layout

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-layout.md"
BLOCKS = re.findall(r"```python.*?\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def pick(tmp_path, monkeypatch):
    file = tmp_path / "pick.py"
    file.write_text(BLOCKS[0])
    spec = importlib.util.spec_from_file_location("pick", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pick", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(oration.layouts, "Pick", module.Pick, raising=False)
    return module.Pick


def test_the_page_shows_what_happens(pick):
    assert isinstance(pick("a"), Block)
    page = doctest.DocTestParser().get_doctest(BLOCKS[1], {}, GUIDE.name, str(GUIDE), 0)
    assert len(page.examples) > 10
    assert doctest.DocTestRunner(verbose=False).run(page).failed == 0


def test_its_mistake_is_explained(pick):
    with pytest.raises(BadInput, match="'a' has 2; put longer streams on a Line"):
        Layout((pick("a"),)).place([{"a": Stream(np.arange(2))}], {"a": Spec(3)}, ("a",))


def test_the_page_names_what_is_there():
    for name in re.findall(r"`((?:oration|tests|benchmarks)/[\w/.]+)`", GUIDE.read_text()):
        assert (GUIDE.parents[1] / name).exists(), name
