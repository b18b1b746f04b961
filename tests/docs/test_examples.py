"""The console blocks of the documentation do what they say."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .markdown import DOCS, PAGES, Block, appears, blocks, name_of, steps

FAST, WITH_MODELS = "run: fast", "run"


def _runnable(page: Path, marks: Sequence[str]) -> list[Block]:
    return [b for b in blocks(page) if b.language == "console" and b.mark in marks]


def _pages(mark: str) -> list[Path]:
    return [page for page in PAGES if _runnable(page, [mark])]


def _few_steps_or_slow(page: Path) -> object:
    """Each step starts the command line anew, which takes most of a second."""
    number = sum(len(steps(block)) for block in _runnable(page, [FAST]))
    return pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if number > 3 else [])


def _run(found: Sequence[Block], folder: Path) -> None:
    """Run the blocks of one page one after another, in a copy of the tutorial's folder."""
    copy = folder / "letters"
    shutil.copytree(DOCS / "tutorial-data", copy)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    variables = {**os.environ, "PATH": path, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    for step in (step for block in found for step in steps(block)):
        words = shlex.split(step.command)
        assert words[0] == "entsemble", f"only entsemble can be run here, not: {step.command}"
        words[0] = shutil.which("entsemble", path=path) or "entsemble"
        done = subprocess.run(words, cwd=copy, env=variables, capture_output=True, text=True, check=False, timeout=900)
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"$ {step.command}\n{output}"
        for line in step.expected:
            assert appears(line, output), f"$ {step.command}\nlacks the line {line!r}:\n{output}"


@pytest.mark.parametrize("page", [_few_steps_or_slow(page) for page in _pages(FAST)])
def test_examples_without_models(page: Path, tmp_path: Path) -> None:
    _run(_runnable(page, [FAST]), tmp_path)


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("page", _pages(WITH_MODELS), ids=name_of)
def test_examples_with_models(page: Path, tmp_path: Path) -> None:
    _run(_runnable(page, [FAST, WITH_MODELS]), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_mark_is_known(page: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith("run"):
            assert block.mark in (FAST, WITH_MODELS)
            assert block.language == "console"


def test_there_are_examples_to_run() -> None:
    assert DOCS / "tutorial.md" in _pages(WITH_MODELS)
    assert len(_pages(FAST)) > 3


@pytest.mark.parametrize(
    ("expected", "output", "found"),
    [
        ("4 documents, ... mentions", "4 documents, 17 mentions", True),
        ("4 documents, ... mentions", "5 documents, 17 mentions", False),
        ("a ... b", "a\nb", False),
        ("...1.000...", "artist │ 1.000 │ 1.000", True),
        ("two  blanks", "two blanks", True),
    ],
)
def test_expected_lines_match_as_documented(expected: str, output: str, found: bool) -> None:
    assert appears(expected, output) is found
