"""The examples in docstrings say what is."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
SHOWING = [path.relative_to(SOURCE) for path in sorted(SOURCE.rglob("*.py")) if ">>>" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", SHOWING, ids=str)
def test_examples_in_docstrings(path: Path) -> None:
    module = pytest.importorskip(".".join(path.with_suffix("").parts))
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
