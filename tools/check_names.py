"""Check the names that the code binds: their mean length, and that none is a bare participle.

    python -m tools.check_names [src ...]

A name counts each time it is bound: as a function, class, parameter, variable or attribute.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FORBIDDEN = frozenset({"told", "made", "found", "asked", "given", "own", "kept"})
"""Names that do not say what the value is; also with underscores before or after."""

MIN_MEAN_LENGTH = 7.5

_UNCOUNTED = frozenset({"self", "cls", "_"})


@dataclass(frozen=True, slots=True)
class BoundName:
    """A name and the place that binds it."""

    name: str
    path: Path
    line: int

    @property
    def core(self) -> str:
        """The name without underscores before and after."""
        return self.name.strip("_")


def bound_names(source: str, path: Path) -> Iterator[BoundName]:
    """All names that a module binds, except dunder names, `self`, `cls` and `_`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        else:
            continue
        if not name.startswith("__") and name not in _UNCOUNTED:
            yield BoundName(name, path, node.lineno)


def problems(names: Sequence[BoundName]) -> list[str]:
    """What is wrong with the names, one line per problem; empty if nothing is."""
    lines = [
        f"{bound.path}:{bound.line}: {bound.name!r} does not say what the value is; use a noun for it"
        for bound in sorted(names, key=lambda bound: (bound.path, bound.line))
        if bound.core in FORBIDDEN
    ]
    mean_length = sum(len(bound.core) for bound in names) / len(names) if names else MIN_MEAN_LENGTH
    if mean_length < MIN_MEAN_LENGTH:
        lines.append(f"names have {mean_length:.2f} letters on average; they need {MIN_MEAN_LENGTH} (use full words)")
    return lines


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The Python files among the paths and in their folders, sorted in each folder."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main() -> None:
    """Print the problems, and exit with an error if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("src")])
    files = python_files(parser.parse_args().paths)
    names = [name for path in files for name in bound_names(path.read_text(encoding="utf-8"), path)]
    if lines := problems(names):
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
