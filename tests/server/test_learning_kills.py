"""Kills while the server learns from the pool: nothing is lost, and no process is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entsemble.data.formats import write
from tests.server.test_learning import pool_documents, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kills by signals, and lists processes by ps"),
]

Start = Callable[[Path], tuple[subprocess.Popen[str], httpx.Client]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts `entsemble review`, whose voices learn, in a process of its own."""
    running: list[subprocess.Popen[str]] = []
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))

    def start_review(file: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
        command = [sys.executable, "-m", "entsemble", "review", "--no-browser", "--port", "0", "--preset", "instant"]
        log = (tmp_path / "log").open("w+", encoding="utf-8")
        process = subprocess.Popen([*command, str(file)], stderr=log, text=True)
        running.append(process)
        wait_for(lambda: "http" in (tmp_path / "log").read_text(encoding="utf-8"), 300)
        address = next(word for word in (tmp_path / "log").read_text(encoding="utf-8").split() if "http" in word)
        return process, httpx.Client(base_url=address, timeout=120)

    yield start_review
    for process in running:
        process.kill()
        process.wait()


def learners(process: subprocess.Popen[str]) -> list[int]:
    """The processes in which a server learns."""
    command = ["ps", "-o", "pid=,args=", "--ppid", str(process.pid)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "entsemble.server.learning" in line]


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def changes(client: httpx.Client) -> Any:
    return client.get("/v1/review/changes").json()


def test_kills_of_server_and_learner_lose_nothing_and_leave_no_process(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    documents = pool_documents()
    write(documents, file)
    server, client = start(file)
    ids = [row["id"] for row in changes(client)["documents"]]
    client.post("/v1/review/edits", json={"edit": {"action": "finish", "documents": ids}}).raise_for_status()
    wait_for(lambda: bool(learners(server)), 300)
    [learner] = learners(server)
    server.kill()
    server.wait()
    wait_for(lambda: has_ended(learner), 30)

    server, client = start(file)
    view = changes(client)
    assert {row["state"] for row in view["documents"]} == {"done"}
    assert view["pool"] == len(documents)
    wait_for(lambda: bool(learners(server)), 300)
    [learner] = learners(server)
    os.kill(learner, signal.SIGKILL)
    text = "Yesterday Ann Berg travelled to Kiel."
    client.post("/v1/review/documents", json={"documents": [{"text": text}]}).raise_for_status()
    wait_for(lambda: changes(client)["documents"][-1]["extraction"] == "", 300)
    assert changes(client)["documents"][-1]["mentions"] >= 1, "texts are extracted without what was to be learned"
    assert changes(client)["pool"] == len(documents)
    unsign = {"action": "unsign", "document": ids[0], "sentence": 0}
    client.post("/v1/review/edits", json={"edit": unsign}).raise_for_status()
    wait_for(lambda: bool(learners(server)), 300)
    [learner] = learners(server)
    started = time.monotonic()
    server.send_signal(signal.SIGINT)
    server.wait(60)
    assert time.monotonic() - started < 10, "it ends while it learns"
    assert (server.returncode, has_ended(learner)) == (130, True)
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines()[-1] == "entsemble: stopped"
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")
