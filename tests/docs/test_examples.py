"""The code of the documentation does what it says: every block is run, or is what CI itself runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entsemble._lib import toml
from entsemble.data.formats import read, write
from entsemble.settings import Settings, environment

from ..data import document_files
from .markdown import DOCS, PAGES, ROOT, Block, Step, appears, blocks, name_of, steps

FAST, WITH_MODELS, SCRIPTED = "run: fast", "run", "run: scripted"
"""A shell without models, a shell with the embedded ones, and this process with scripted ones."""

SETTINGS = "settings"
"""Settings; `settings: NAME` is the file NAME, which later blocks read."""

WRITTEN = (f"{SETTINGS}: ", "file: ")
"""Blocks that are files, of settings or of anything else."""

PORT, REVIEW_PORT = "8765", "8766"

INCOMING = {
    "letter.docx": document_files.docx(),
    "minutes.odt": document_files.odt(),
    "page.html": document_files.web_page(),
    "plan.png": b"\x89PNG",
    "report.pdf": document_files.pdf("Ada Lovelace left Oslo.", "Bob Lee stayed."),
}
"""What arrives in a folder."""


def _runnable(page: Path, marks: Sequence[str]) -> list[Block]:
    return [b for b in blocks(page) if b.mark in marks or b.mark.startswith(WRITTEN)]


def _pages(mark: str) -> list[Path]:
    return [page for page in PAGES if any(b.mark == mark for b in blocks(page))]


def _few_steps_or_slow(page: Path) -> object:
    """Each step starts the command line anew, which takes most of a second."""
    number = sum(len(steps(block)) for block in _runnable(page, [FAST]) if block.language == "console")
    return pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if number > 3 else [])


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A copy of the tutorial's folder, and what readers of the how-to guides bring along."""
    folder = tmp_path / "letters"
    shutil.copytree(DOCS / "tutorial-data", folder)
    sentences = list(read(folder / "pool.jsonl"))
    write(sentences, folder / "train.conll")
    write(sentences[:2], folder / "dev.conll")
    write(sentences[:2], folder / "letters.jsonl")
    (folder / "data.tsv").write_text("1\tOslo\tB-place\tO\n2\tTown\tI-place\tO\n3\tHall\tB-place\tB-house\n")
    (folder / "unlabelled.txt").write_text((folder / "texts" / "letter-1934.txt").read_text(encoding="utf-8"))
    (folder / "key").write_text("secret")
    (folder / "incoming").mkdir()
    for name, content in INCOMING.items():
        (folder / "incoming" / name).write_bytes(content)
    value = {"start": 0, "end": 3, "text": "Ann", "labels": ["person"]}
    corrected = [{"result": [{"from_name": "label", "to_name": "text", "type": "labels", "value": value}]}]
    exported = [{"id": 1, "data": {"text": "Ann flew to Oslo."}, "annotations": corrected}]
    (folder / "export.json").write_text(json.dumps(exported))
    shipped = ROOT / "src" / "entsemble" / "experts" / "pack" / "privacy"
    (folder / "models" / "my-model").mkdir(parents=True)
    (folder / "models" / "my-model" / "config.json").write_text("{}")
    shutil.copytree(shipped, folder / "my-adapter", ignore=shutil.ignore_patterns("card.json"))
    return folder


@pytest.mark.parametrize("page", [_few_steps_or_slow(page) for page in _pages(FAST)])
def test_examples_without_models(page: Path, letters: Path) -> None:
    _run(_runnable(page, [FAST]), letters)


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("page", _pages(WITH_MODELS), ids=name_of)
def test_examples_with_models(page: Path, letters: Path) -> None:
    _run(_runnable(page, [FAST, WITH_MODELS]), letters)


@pytest.mark.slow
@pytest.mark.usefixtures("scripted", "plain_members")
@pytest.mark.parametrize("page", _pages(SCRIPTED), ids=name_of)
def test_examples_with_scripted_models(
    page: Path, letters: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for extra in ("spacy", "datasets"):
        pytest.importorskip(extra)
    monkeypatch.chdir(letters)
    monkeypatch.setenv("HOME", str(letters))
    for block in _runnable(page, [SCRIPTED]):
        if block.mark.startswith(WRITTEN):
            _write(block, letters)
        elif block.language == "python":
            exec(compile(block.body, name_of(page), "exec"), {})
        else:
            for step in steps(block):
                words = [
                    str(Path(word).expanduser()) if word.startswith("~") else word for word in shlex.split(step.command)
                ]
                ran = command(*words[1:])
                assert (words[0], ran.code) == ("entsemble", 0), f"$ {step.command}\n{ran.out}{ran.err}"
                _compare(step, ran.out + ran.err)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_checked(page: Path) -> None:
    make = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for block in blocks(page):
        if block.language == "toml":
            Settings.model_validate(toml.loads(block.body))
            assert block.mark.startswith(SETTINGS)
        elif block.language == "console" and not block.mark:
            for words in (shlex.split(step.command, comments=True) for step in steps(block)):
                known = words[0] in {"git", "source", "cp", "cd", "pip"} or (words[0] == "make" and words[1] in make)
                assert known, f"nothing runs this: {' '.join(words)}"
        elif block.language in {"console", "python"}:
            assert block.mark in {FAST, WITH_MODELS, SCRIPTED}
            assert block.language == "console" or block.mark == SCRIPTED
        else:
            assert block.language in {"text", "json"}, "a language that nothing checks"


def test_there_are_examples_to_run() -> None:
    assert DOCS / "tutorial.md" in _pages(WITH_MODELS)
    assert len(_pages(FAST)) > 3
    assert len(_pages(SCRIPTED)) > 3


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


def _run(found: Sequence[Block], folder: Path) -> None:
    """Run the blocks of one page one after another, in a shell."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {"ENTSEMBLE_CACHE": str(environment().cache), "ENTSEMBLE_EXPERTS": str(folder / "experts")}
    own |= {"ENTSEMBLE_POOL": str(folder / "kept" / "pool.jsonl")}
    shown = {"PATH": path, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    variables = {**os.environ, **own, **shown}
    with _servers(folder, variables) as serve:
        for block in found:
            if block.mark.startswith(WRITTEN):
                _write(block, folder)
                continue
            for step in steps(block):
                if re.search("entsemble (serve|review)", step.command):
                    port = serve(step)
                    continue
                line = step.command.replace(PORT, port) if "curl" in step.command else step.command
                shell = ["bash", "-o", "pipefail", "-c", line]
                done = subprocess.run(
                    shell, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=900
                )
                output = done.stdout + done.stderr
                assert done.returncode == 0, f"$ {step.command}\n{output}"
                _compare(step, output)


@contextmanager
def _servers(folder: Path, variables: dict[str, str]) -> Iterator[Callable[[Step], str]]:
    """Starts a server, in the place of one that ran before, and says on which free port."""
    running: list[subprocess.Popen[str]] = []

    def stop() -> None:
        for server in running:
            server.terminate()
            server.communicate(timeout=300)
        running.clear()

    def start(step: Step) -> str:
        stop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        is_review = "entsemble review" in step.command
        options = f"--port {port}{' --no-browser' * is_review}"
        shell = ["bash", "-c", f"exec env {step.command} {options}"]
        server = subprocess.Popen(shell, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)
        running.append(server)
        assert server.stderr is not None
        told = server.stderr.readline()
        assert f":{port}/" in told, told
        _compare(step, told.replace(port, REVIEW_PORT if is_review else PORT))
        return port

    try:
        yield start
    finally:
        stop()


def _compare(step: Step, output: str) -> None:
    for line in step.expected:
        assert appears(line, output), f"$ {step.command}\nlacks the line {line!r}:\n{output}"


def _write(block: Block, folder: Path) -> None:
    (folder / block.mark.partition(": ")[2]).write_text(block.body, encoding="utf-8")
