"""SIGTERM and Ctrl-C end a server within ten seconds, with one line, whatever it is doing."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

Start = Callable[..., subprocess.Popen[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with scripted models in a process of its own."""
    running: list[subprocess.Popen[str]] = []
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))

    def start_server(*options: str) -> subprocess.Popen[str]:
        pool = str(tmp_path / f"pool{len(running)}.jsonl")
        command = [sys.executable, "-m", "benchmarks.server.scripted", "serve", "--port", "0", "--pool", pool, *options]
        server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        running.append(server)
        return server

    yield start_server
    for server in running:
        server.kill()
        server.communicate()


def wait_for_port(server: subprocess.Popen[str]) -> int:
    assert server.stderr is not None
    address = re.search(r":(\d+)/", server.stderr.readline())
    assert address is not None
    return int(address[1])


def stop(server: subprocess.Popen[str], number: signal.Signals) -> tuple[float, str]:
    """How long it takes, and what it prints."""
    started = time.monotonic()
    server.send_signal(number)
    _, messages = server.communicate(timeout=60)
    return time.monotonic() - started, messages


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sentence_that_computes_for_minutes_does_not_delay_the_end(start: Start, number: signal.Signals) -> None:
    server = start()
    port = wait_for_port(server)
    body: dict[str, Any] = {"documents": [{"text": "Endless Ann."}], "labels": {"person": ""}}
    content = json.dumps(body)
    head = "POST /v1/extract HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(f"{head}{len(content)}\r\n\r\n{content}".encode())
        while "entsemble_running 1.0" not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
            time.sleep(0.05)
        seconds, messages = stop(server, number)
        assert b"503 Service Unavailable" in client.recv(65536)
    assert seconds < 10
    assert (messages, server.returncode) == ("entsemble: stopped\n", 128 + number)


@pytest.mark.slow
def test_an_idle_server_ends_at_once(start: Start) -> None:
    server = start()
    wait_for_port(server)
    seconds, messages = stop(server, signal.SIGTERM)
    assert seconds < 5
    assert (messages, server.returncode) == ("entsemble: stopped\n", 143)
