"""`entsemble review`: files into a session beside them, which the next call continues."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Command

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

ROOT = Path(__file__).parents[2]
GOLD = {"id": "x", "text": "Ann slept.", "mentions": [{"start": 0, "end": 3, "label": "pilot"}]}

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts `entsemble review` with scripted models in a process of its own; returns it, and its address."""
    running: list[subprocess.Popen[str]] = []
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))

    def start_review(*arguments: str | Path) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "benchmarks.server.scripted", "review", "--no-browser", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        lines: list[str] = []
        while not (line := process.stderr.readline()).startswith("http"):
            assert line, lines
            lines.append(line)
        return process, line.split()[0]

    yield start_review
    for process in running:
        process.kill()
        process.communicate()


def rows(address: str) -> dict[str, Any]:
    return {row["name"]: row for row in httpx.get(f"{address}v1/review/changes").json()["documents"]}


@pytest.mark.slow
def test_a_second_call_continues_where_a_killed_one_ended(start: Start, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(json.dumps(GOLD))
    (tmp_path / "letter.txt").write_text("Bob Lee left Oslo.")
    files = [tmp_path / "gold.jsonl", tmp_path / "letter.txt"]
    process, address = start(*files)
    assert rows(address).keys() == {"x", "letter.txt"}
    body = {"edit": {"action": "relabel", "span": 1, "label": "person"}}
    assert httpx.post(f"{address}v1/review/edits", json=body).status_code == 200
    process.kill()
    process.wait()
    process, address = start(*files, tmp_path / "gold.jsonl.pool.jsonl")
    assert rows(address)["x"]["state"] == "work"
    [span] = httpx.get(f"{address}v1/review/documents/1").json()["sentences"][0]["spans"]
    assert (span["label"], span["status"]) == ("person", "changed")
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=30)
    assert (messages.strip(), process.returncode) == ("entsemble: stopped", 130)
    assert (tmp_path / "gold.jsonl.review").stat().st_mode & 0o077 == 0, "only the owner reads texts"


@pytest.mark.slow
def test_ctrl_c_ends_it_while_a_sentence_is_computed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Endless Ann.")
    process, address = start(tmp_path / "letter.txt", "--labels", "person")
    while not httpx.get(f"{address}v1/review/changes").json()["work"]:
        time.sleep(0.05)
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert (messages.strip(), process.returncode) == ("entsemble: stopped", 130)


def test_without_a_file_there_is_nothing_to_review(command: Command) -> None:
    result = command("review")
    assert result.code == 64
    assert "name a FILE to review, or a --session to continue" in result.messages


def test_a_file_that_cannot_be_read_is_named(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{}\n")
    result = command("review", path, "--no-browser")
    assert result.code == 64
    assert f"{path}:1: there is no text" in result.messages
    assert "none of the files can be read" in result.messages
