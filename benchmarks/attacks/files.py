"""Attacks on files: those that are read, and those that are written."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from benchmarks.common import corpora_folder
from entsemble.data.detect import detect_format
from entsemble.data.formats import read
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.settings import environment
from entsemble.types import Document

_TEXTS = ("conll2003-4col/train.txt", "wnut17", "wikigold", "mit-movie", "mit-restaurant")
_MODEL = "smollm2-135m"
_WAIT_SECONDS = 120


def plain_texts() -> str:
    """How many texts of the corpora, each as a file, are taken for another format."""
    text_count, taken = 0, []
    for path in _TEXTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            documents = _readable(read(corpora_folder() / path))
            for text in {document.text for document in documents}:
                text_count += 1
                if detect_format(Source("text", None, BytesIO(text.encode()))) != "text":
                    taken.append(text)
    return f"{len(taken)} of {text_count:,} texts are taken for another format{''.join(map(repr, taken[:3]))}"


def changed_model() -> str:
    """What `models list` and a run say of a model file in which one byte was changed."""
    with _folder() as folder:
        models = folder / "cache" / "models"
        shutil.copytree(environment().cache / "models" / _MODEL, models / _MODEL)
        [weights] = (models / _MODEL).glob("*.gguf")
        with weights.open("r+b") as file:
            file.seek(-1000, os.SEEK_END)
            [byte] = file.read(1)
            file.seek(-1000, os.SEEK_END)
            file.write(bytes([byte ^ 1]))
        (folder / "text.txt").write_text("Ann went to Oslo.", encoding="utf-8")
        arguments = ["extract", "text.txt", "--labels", "person", "--preset", "fast", "--model", _MODEL, "--quiet"]
        completed = _entsemble(folder, *arguments)
        return f"exit status {completed.returncode}: {_last_line(completed.stderr, folder)}"


def truncated_model() -> str:
    """What becomes of a run whose model file is truncated in place in the middle of it, and of the next run."""
    with _folder() as folder:
        models = folder / "cache" / "models"
        shutil.copytree(environment().cache / "models" / _MODEL, models / _MODEL)
        [weights] = (models / _MODEL).glob("*.gguf")
        lines = [json.dumps({"text": f"Ann went to Oslo in {number}."}) + "\n" for number in range(12)]
        arguments = ["--from", "jsonl", "--labels", "person", "--preset", "fast", "--model", _MODEL]
        arguments += ["--quiet", "--no-cache"]
        with _start(folder, "extract", "-", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            assert run.stdin is not None
            assert run.stdout is not None
            run.stdin.writelines(lines[:6])
            run.stdin.flush()
            answered = [run.stdout.readline()]  # the others wait for input
            os.truncate(weights, 1000)
            rest, _ = run.communicate("".join(lines[6:]), timeout=_WAIT_SECONDS)
        document_count = len([*answered, *rest.splitlines()])
        (folder / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
        start = time.monotonic()
        following = _entsemble(folder, "extract", "texts.jsonl", *arguments, "-o", "next.jsonl")
        is_soon = time.monotonic() - start < 10
        return (
            f"the run ends with {run.returncode} and {document_count} of 12 documents; "
            f"the next, within 10 s: {is_soon}, with {following.returncode}: {_last_line(following.stderr, folder)}"
        )


def one_output() -> str:
    """What a second run says that has the output of one that is at work, and what the file then holds."""
    with _folder() as folder:
        (folder / "second.txt").write_text("Second.", encoding="utf-8")
        with _start(folder, "convert", "-", "out.jsonl", "--from", "text", stdin=subprocess.PIPE) as first:
            assert first.stdin is not None
            lock = folder / ".out.jsonl.lock"
            while not lock.exists() or not lock.stat().st_size:
                assert first.poll() is None
            second = _entsemble(folder, "convert", "second.txt", "out.jsonl")
            first.communicate("First.", timeout=_WAIT_SECONDS)
        content = (folder / "out.jsonl").read_text(encoding="utf-8")
        whole = "First." in content and "Second." not in content
        message = _last_line(second.stderr, folder).replace(str(first.pid), "PID").partition(" (at work")[0]
        return f"the second ends with {second.returncode}: {message}; the file is the first's: {whole}"


def permissions() -> str:
    """The modes of what a run stores while it is at work, and afterwards; with a umask of 022."""
    with _folder() as folder:
        (folder / "texts").mkdir()
        for number in range(3):
            (folder / "texts" / f"{number}.txt").write_text("Ann went to Oslo.", encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.server.scripted", "--delay", "0.3", "extract"]
        command += [str(folder / "texts"), "--labels", "person,location", "-o", str(folder / "out" / "all.jsonl")]
        modes: set[str] = set()
        with subprocess.Popen(command, env=_variables(folder), stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                modes |= set(_public(folder))
        return f"readable by others: {', '.join(sorted(modes)) or 'nothing'}"


def torn_report() -> str:
    """What is left of a report whose disk is full."""
    with _folder() as folder:
        (folder / "gold.jsonl").write_text('{"id": "a", "text": "Ann", "mentions": []}\n', encoding="utf-8")
        report = folder / "report.json"
        report.write_text("before", encoding="utf-8")
        limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", sys.executable, "-m", "entsemble"]
        arguments = ["score", "gold.jsonl", "gold.jsonl", "--json", "report.json"]
        completed = subprocess.run(
            [*limited, *arguments], cwd=folder, env=_variables(folder), capture_output=True, text=True, check=False
        )
        return (
            f"exit status {completed.returncode}: {_last_line(completed.stderr, folder)}; the old report is kept: "
            + str(report.read_text(encoding="utf-8") == "before")
        )


def odd_columns() -> str:
    """How CoNLL files are read that were once misread."""
    contents = {
        "numbers as tokens": "Version O\ne4 O\n2 O\n3 O\n\n",
        "CR": "Ada\tB-X\rleft\tO\rOslo\tB-Y\r",
        "marker": "a\tO\n-DOCSTART-\tO\nb\tB-X\n",
    }
    outcomes = []
    for name, content in contents.items():
        with _folder() as folder:
            (folder / "x.conll").write_bytes(content.encode())
            outcomes.append(f"{name}: {' / '.join(document.text for document in read(folder / 'x.conll'))}")
    return "; ".join(outcomes)


def _readable(documents: Iterator[Document]) -> Iterator[Document]:
    """The documents up to the first that cannot be read."""
    try:
        yield from documents
    except DataError as error:
        print(error)


def _public(folder: Path) -> Iterator[str]:
    """What in a folder, but for inputs and outputs, others may read or enter."""
    for path in folder.rglob("*"):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        is_ours = path.suffix in {".sqlite", ".journal", ".sqlite-wal", ".sqlite-shm"} or path.name == "cache"
        if is_ours and mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"{path.relative_to(folder)} {mode:o}"


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _variables(folder: Path) -> dict[str, str]:
    return {**os.environ, "ENTSEMBLE_CACHE": str(folder / "cache")}


def _start(folder: Path, *arguments: str, stdin: int | None = None, stdout: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "entsemble", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=_variables(folder), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True
    )


def _entsemble(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "entsemble", *arguments]
    return subprocess.run(
        command, cwd=folder, env=_variables(folder), capture_output=True, text=True, check=False, timeout=1200
    )


def _last_line(output: str, folder: Path) -> str:
    lines = output.strip().splitlines()
    return lines[-1].replace(str(folder), "...") if lines else "nothing"
