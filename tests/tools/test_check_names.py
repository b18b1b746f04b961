from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tools.check_names import BoundName, bound_names, problems

from tools import check_names


def names_in(source: str) -> list[str]:
    return [bound.name for bound in bound_names(source, Path("module.py"))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("first = second", ["first"]),
        ("def read(path, *rest, size=0, **options): ...", ["read", "path", "size", "rest", "options"]),
        ("async def fetch(): ...", ["fetch"]),
        ("class Reader:\n    size: int = 0", ["Reader", "size"]),
        ("[item for item in items]", ["item"]),
        ("for index, value in pairs: ...", ["index", "value"]),
        ("with opened as file: ...", ["file"]),
        ("if (match := search()): ...", ["match"]),
        ("self.size = 0", ["size"]),
        ("lambda token: token.text", ["token"]),
        ("call(size=1)", []),
        ("import json", []),
    ],
)
def test_functions_classes_parameters_variables_and_attributes_are_bound(source: str, expected: list[str]) -> None:
    assert sorted(names_in(source)) == sorted(expected)


def test_self_cls_underscore_and_dunder_names_do_not_count() -> None:
    assert names_in("__all__ = ()\ndef __len__(self, cls, _): ...") == []


@pytest.mark.parametrize("name", ["told", "_made", "kept_", "own"])
def test_forbidden_names_are_reported_with_file_and_line(name: str) -> None:
    [problem] = problems([BoundName("sufficiently_long", Path("a.py"), 1), BoundName(name, Path("b.py"), 7)])
    assert problem.startswith(f"b.py:7: {name!r} ")


def test_names_that_contain_a_forbidden_word_are_allowed() -> None:
    assert problems([BoundName("found_mentions", Path("a.py"), 1)]) == []


def test_short_names_are_reported_by_their_mean_length_without_underscores() -> None:
    assert problems([BoundName("probability", Path("a.py"), 1), BoundName("text", Path("a.py"), 2)]) == []
    [problem] = problems([BoundName("_label_", Path("a.py"), 1)])
    assert "5.00 letters" in problem


def test_no_names_are_no_problem() -> None:
    assert problems([]) == []


def test_the_command_exits_with_the_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.py").write_text("probability = 1\n")
    monkeypatch.setattr(sys, "argv", ["check_names", str(tmp_path)])
    check_names.main()
    (tmp_path / "bad.py").write_text("\nfound = 1\n")
    with pytest.raises(SystemExit, match=r"bad\.py:2: 'found'"):
        check_names.main()
