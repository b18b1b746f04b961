"""Attacks on the embedded engine, and on the server."""

from __future__ import annotations

import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.common import ROOT
from entsemble.backends.llamacpp.engine import Engine, LlamaCppOptions, start_engine
from entsemble.settings import environment

_ROUTES = (
    "GET /props", "GET /slots", "GET /metrics", "GET /lora-adapters", "GET /v1/models", "GET /models", "GET /api/tags",
    "POST /props", "POST /slots/0?action=save", "POST /completion", "POST /v1/completions", "POST /v1/chat/completions",
    "POST /infill", "POST /embedding", "POST /v1/embeddings", "POST /rerank", "POST /tokenize", "POST /detokenize",
    "POST /apply-template", "POST /lora-adapters",
)  # fmt: skip
_CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<file_sep>", "<issue_start>")
_SENTENCE = {"documents": [{"text": "Ann went to Oslo."}], "labels": {"person": "", "location": ""}}
_TIMEOUT_SECONDS = 120


def engine() -> str:
    """The ports that a process with an engine listens on, and how the engine answers a stranger."""
    with _smollm2():
        ports = _own_ports()
        [folder] = _engine_folders()
        mode = folder.stat().st_mode & 0o777
        transport = httpx.HTTPTransport(uds=str(folder / "engine.sock"))
        with httpx.Client(transport=transport, base_url="http://engine", timeout=_TIMEOUT_SECONDS) as stranger:
            statuses = Counter(
                stranger.request(*route.split(), json={"prompt": "a", "content": "a"}).status_code for route in _ROUTES
            )
    answers = ", ".join(f"{count} of {len(_ROUTES)} answer {status}" for status, count in statuses.items())
    return f"{len(ports)} TCP and UDP sockets; a Unix socket in a folder of mode {mode:o}; of the routes, {answers}"


def control_tokens() -> str:
    """How many control tokens a model reads where a text spells them."""
    with _smollm2() as running:
        lengths = {token: len(running.tokenize(token)) for token in _CONTROL_TOKENS}
    single = [token for token, length in lengths.items() if length == 1]
    return f"{len(single)} of {len(lengths)} become control tokens; they are {min(lengths.values())} tokens or more"


def many_labels() -> str:
    """The answer to 10,000 labels, and its seconds."""
    body = {**_SENTENCE, "labels": {f"label {number}": "" for number in range(10_000)}}
    with _server() as client:
        start = time.monotonic()
        response = client.post("/v1/extract", json=body)
        return f"{response.status_code} {response.json()['error']!r}, within 5 s: {time.monotonic() - start < 5}"


def large_pool() -> str:
    """The answer to a pool text with overlapping mentions, and the size of the pool then."""
    mentions = [{"start": 0, "end": 40_000 - number, "label": "x"} for number in range(9_000)]
    with _server() as client:
        response = client.post("/v1/pool", json={"documents": [{"text": "word " * 8_000, "mentions": mentions}]})
        total = client.get("/v1/pool").json()["total"]
        return f"{response.status_code} {response.json()['error']!r}; documents in the pool: {total}"


def large_body() -> str:
    """Whether a client that sends everything before it reads sees why it is refused."""
    with _server() as client:
        host, port = str(client.base_url.host), int(client.base_url.port or 0)
        head = f"POST /v1/extract HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3000000\r\n\r\n"
        with socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(head.encode() + b" " * 3_000_000)
            answer = connection.recv(65_536).decode()
        return f"the client reads {answer.partition('HTTP/1.1 ')[2][:3]}"


def idle_connections() -> str:
    """Answers while 300 connections do nothing."""
    with _server("ulimit -n 256") as client:
        host, port = str(client.base_url.host), int(client.base_url.port or 0)
        idle = [socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) for _ in range(300)]
        statuses = Counter(
            httpx.get(f"{client.base_url}/healthz", timeout=_TIMEOUT_SECONDS).status_code for _ in range(20)
        )
        for connection in idle:
            connection.close()
        return ", ".join(f"{count} of 20 requests answer {status}" for status, count in statuses.items())


def latency() -> str:
    """Milliseconds of a small answer on a kept connection."""
    with _server() as client:
        seconds = []
        for _ in range(100):
            start = time.perf_counter()
            client.get("/healthz").raise_for_status()
            seconds.append(time.perf_counter() - start)
        return f"median below 40 ms: {statistics.median(seconds) < 0.04}, fastest {1000 * min(seconds):.1f} ms"


@contextmanager
def _smollm2() -> Iterator[Engine]:
    options = LlamaCppOptions(context=256, slots=1)
    running = start_engine(environment().cache / "models" / "smollm2-135m" / "model.gguf", options)
    try:
        yield running
    finally:
        running.close()


def _own_ports() -> list[str]:
    """The local addresses of all TCP and UDP sockets of this process."""
    links = (_link(path) for path in Path("/proc/self/fd").iterdir())
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [
        line.split()
        for protocol in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]
    ]
    return [row[1] for row in rows if row[9] in inodes]


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _engine_folders() -> list[Path]:
    """The folders of this process' engines, whose sockets it listens on."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:])
    links = (_link(path) for path in Path("/proc/self/fd").iterdir())
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    return [Path(row[7]).parent for row in rows if len(row) > 7 and row[6] in inodes and row[7].endswith("engine.sock")]


@contextmanager
def _server(setup: str = ":") -> Iterator[httpx.Client]:
    """A client of `entsemble serve` with scripted models, started by a shell after `setup`."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-m", "benchmarks.server.scripted", "serve", "--port", "0", "--pool", f"{folder}/pool.jsonl"]
        command = f"{setup}; exec {shlex.join([sys.executable, *arguments])}"
        variables = {**os.environ, "ENTSEMBLE_CACHE": f"{folder}/cache"}
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(["bash", "-c", command], cwd=ROOT, env=variables, stderr=stream)
        try:
            while not (match := re.search(r"http://[\d.:]+", log.read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    raise RuntimeError(log.read_text(encoding="utf-8"))
                time.sleep(0.1)
            with httpx.Client(base_url=match[0], timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                while client.get("/readyz").status_code != 200:
                    time.sleep(0.2)
                client.post("/v1/extract", json=_SENTENCE).raise_for_status()
                yield client
        finally:
            process.kill()
            process.wait()
