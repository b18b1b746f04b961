"""A week in an hour: clients that cancel, dawdle and correct the pool, at a server that is killed now and then.

    python -m benchmarks.server.soak [--clients 50] [--seconds 3600]

Starts `entsemble serve` with scripted models, whose right answers are known, on a port of this machine, and stores what
became of memory, open files and threads, how long answers took, and how many were wrong: a file for each revision.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from benchmarks.common import ROOT, run_once, source_revision
from benchmarks.server.scripted import LEXICON

RESULTS = Path(__file__).parent / "results" / "soak"

_LABELS = {"person": "", "location": ""}
_POOL_LABEL = "gadget"
"""Not among the labels of the requests, so that corrections do not change their answers."""

_MODEL_SECONDS = 0.002
_START_SECONDS = 900.0
"""On a machine with other work, beside fifty clients that try again every second."""
_REQUEST_SECONDS = 60.0
_ACTIONS = {"extract": 60, "stream": 15, "cancel": 10, "dawdle": 5, "correct": 5, "export": 5}
"""What clients do, and how often in a hundred requests."""


_STOPWATCH = """
import os, signal, sys, time
from pathlib import Path

def has_ended():
    try:
        return Path("/proc", sys.argv[1], "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True

started = time.monotonic()
os.kill(int(sys.argv[1]), signal.SIGTERM)
while not has_ended():
    time.sleep(0.02)
print(time.monotonic() - started)
"""
"""Stops a process and measures how long it takes; the threads of the clients would delay the clock of this process."""


@dataclass(slots=True)
class Samples:
    """Figures of the server's processes, one of each kind a second."""

    memory_megabytes: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, process_id: int) -> None:
        """Add the figures of a process, unless it has ended."""
        folder = Path(f"/proc/{process_id}")
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            open_files = sum(1 for _ in (folder / "fd").iterdir())
            memory_megabytes = int(status["VmRSS"].split()[0]) // 1024
        except (OSError, KeyError):
            return
        self.memory_megabytes.append(memory_megabytes)
        self.open_files.append(open_files)
        self.threads.append(int(status["Threads"]))

    def summary(self) -> dict[str, dict[str, int]]:
        """The median of the first and of the last tenth, and the maximum, of each kind."""
        kinds = {"memory MB": self.memory_megabytes, "open files": self.open_files, "threads": self.threads}
        return {name: _summarize(figures) for name, figures in kinds.items() if figures}


class SoakServer:
    """The server under test, which can be killed and started again.

    Args:
        folder: of its pool.

    Attributes:
        generation: changes when it goes down, and again when it is up.
        kills: how often it was killed or stopped.
        samples: figures of its processes.
        stop_seconds: how long it took to end after each SIGTERM.
        exit_codes: of these ends.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self.generation, self.kills = 0, 0
        self.samples = Samples()
        self.stop_seconds: list[float] = []
        self.exit_codes: Counter[int] = Counter()
        self._process = self._start()

    def sample(self) -> None:
        """Take figures of the process."""
        self.samples.take(self._process.pid)

    def restart(self, number: signal.Signals) -> None:
        """End the process by a signal, and start another one."""
        self.generation += 1
        self.kills += 1
        if number == signal.SIGTERM:
            stopwatch = [sys.executable, "-c", _STOPWATCH, str(self._process.pid)]
            self.stop_seconds.append(float(subprocess.run(stopwatch, capture_output=True, check=True).stdout))
            self.exit_codes[self._process.wait()] += 1
        else:
            self._process.send_signal(number)
            self._process.wait()
        self._process = self._start()
        self.generation += 1

    def stop(self) -> None:
        """End the process for good."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.server.scripted", "--delay", str(_MODEL_SECONDS)]
        command += ["serve", "--port", str(self.port), "--pool", str(self._folder / "pool.jsonl")]
        environment = {**os.environ, "ENTSEMBLE_CACHE": str(self._folder / "cache")}
        with (self._folder / "server.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=_REQUEST_SECONDS).status_code == 200:
                    return process
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        process.kill()
        raise RuntimeError(f"the server did not start: {(self._folder / 'server.log').read_text()}")


@dataclass(slots=True)
class Outcome:
    """What the clients saw.

    Attributes:
        counts: of outcomes, by action and status.
        seconds: of complete extractions.
        wrong: descriptions of wrong answers, and of errors that no kill explains.
        confirmed: texts of the pool that the server confirmed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)


class Client:
    """One client, which does one thing after another.

    Args:
        number: of the client; decides what it does.
        server: under test.
        outcome: receives what it sees.
    """

    def __init__(self, number: int, server: SoakServer, outcome: Outcome) -> None:
        self._number, self._server, self._outcome = number, server, outcome
        self._random = random.Random(number)
        self._request_count = 0

    def run(self, end: float) -> None:
        """Send requests until a time."""
        with httpx.Client(base_url=self._server.url, timeout=_REQUEST_SECONDS, trust_env=False) as connection:
            while time.monotonic() < end:
                [action] = self._random.choices([*_ACTIONS], [*_ACTIONS.values()])
                generation = self._server.generation
                try:
                    status = getattr(self, f"_{action}")(connection)
                except (httpx.HTTPError, OSError) as error:
                    is_explained = generation % 2 == 1 or generation != self._server.generation
                    status = "killed" if is_explained else type(error).__name__
                    if not is_explained:
                        self._outcome.wrong.append(f"{action}: {error!r}")
                self._outcome.counts[f"{action}: {status}"] += 1
                time.sleep(1.0 if status in {"503", "killed"} else self._random.uniform(0, 0.1))

    def _text(self) -> str:
        self._request_count += 1
        names = self._random.sample(sorted(LEXICON), 2)
        return (
            f"In note {self._number}.{self._request_count} {names[0]} was seen near {names[1]}. Nothing else was said."
        )

    def _extract(self, connection: httpx.Client) -> str:
        text, started = self._text(), time.monotonic()
        response = connection.post("/v1/extract", json=_extraction_body(text))
        if response.status_code == 200:
            self._outcome.seconds.append(time.monotonic() - started)
            self._check(text, response.json()["documents"])
        return self._status(response)

    def _stream(self, connection: httpx.Client) -> str:
        text = self._text()
        headers = {"Accept": "text/event-stream"}
        with connection.stream("POST", "/v1/extract", json=_extraction_body(text), headers=headers) as response:
            lines = list(response.iter_lines())
        if response.status_code == 200:
            documents = [json.loads(data[6:]) for name, data in pairwise(lines) if name == "event: document"]
            if "event: error" in lines:
                return "error event"
            self._check(text, documents)
        return self._status(response)

    def _cancel(self, _: httpx.Client) -> str:
        text = " ".join(self._text() for _ in range(50))
        with self._open("POST", "/v1/extract", json.dumps(_extraction_body(text))):
            time.sleep(self._random.uniform(0, 0.3))
        return "left"

    def _dawdle(self, _: httpx.Client) -> str:
        with self._open("GET", "/v1/pool?limit=1000", "") as client:
            if self._random.random() < 0.5:
                client.sendall(b"GET /healthz HTTP/1.1\r\nX-Drip: ")
                for _drop in range(20):
                    client.sendall(b"a")
                    time.sleep(0.05)
            else:
                time.sleep(1)
        return "left"

    def _correct(self, connection: httpx.Client) -> str:
        text = f"Client {self._number} wrote number {self._request_count}."
        self._request_count += 1
        body = {"documents": [{"text": text, "mentions": [{"start": 0, "end": 6, "label": _POOL_LABEL}]}]}
        response = connection.post("/v1/pool", json=body)
        if response.status_code == 201:
            self._outcome.confirmed.append(text)
        return self._status(response)

    def _export(self, connection: httpx.Client) -> str:
        text = self._text()
        body = {"documents": [{"text": text, "mentions": [{"start": 0, "end": 2, "label": "x"}]}]}
        response = connection.post("/v1/export?format=conll", json=body)
        if response.status_code == 200 and "In\tB-x" not in response.text:
            self._outcome.wrong.append(f"export of {text!r}: {response.text!r}")
        return self._status(response)

    def _open(self, method: str, path: str, body: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._server.port), timeout=_REQUEST_SECONDS)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return client

    def _status(self, response: httpx.Response) -> str:
        if response.status_code not in {200, 201, 503}:
            self._outcome.wrong.append(f"{response.status_code}: {response.text[:200]}")
        return str(response.status_code)

    def _check(self, text: str, documents: list[dict[str, Any]]) -> None:
        right = {(text.index(name), name, label) for name, label in LEXICON.items() if name in text}
        answers = [
            {(mention["start"], mention["text"], mention["label"]) for mention in document["mentions"]}
            for document in documents
        ]
        if answers != [right]:
            self._outcome.wrong.append(f"{text!r}: {answers}")


def soak(client_count: int, seconds: float) -> dict[str, object]:
    """Run it; the server is killed about twenty times, at least every five minutes, every other time by SIGTERM."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        server = SoakServer(Path(folder))
        try:
            end = time.monotonic() + seconds
            clients = [Client(number, server, outcome) for number in range(client_count)]
            threads = [threading.Thread(target=client.run, args=[end]) for client in clients]
            for thread in threads:
                thread.start()
            _kill_now_and_then(server, end, min(300.0, max(15.0, seconds / 20)))
            for thread in threads:
                thread.join()
            lost = _lost_texts(server, outcome.confirmed)
            log_lines = len((Path(folder) / "server.log").read_text().splitlines())
            has_traceback = "Traceback" in (Path(folder) / "server.log").read_text()
        finally:
            server.stop()
    return {
        "clients": client_count,
        "seconds": seconds,
        "kills": server.kills,
        "longest stop after SIGTERM, s": round(max(server.stop_seconds, default=0.0), 2),
        "exit codes after SIGTERM": dict(server.exit_codes),
        "outcomes": dict(sorted(outcome.counts.items())),
        "extractions": len(outcome.seconds),
        "p50 s": round(_percentile(outcome.seconds, 0.5), 3),
        "p99 s": round(_percentile(outcome.seconds, 0.99), 3),
        **server.samples.summary(),
        "confirmed texts of the pool": len(outcome.confirmed),
        "lost texts of the pool": len(lost),
        "log lines": log_lines,
        "tracebacks in the log": has_traceback,
        "wrong answers": len(outcome.wrong),
        "examples of wrong answers": outcome.wrong[:5],
    }


def main() -> None:
    """Run it, store the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3600)
    arguments = parser.parse_args()
    file = RESULTS / f"{source_revision()[:7]}.json"
    command = f"python -m benchmarks.server.soak --clients {arguments.clients} --seconds {arguments.seconds:g}"
    run_once(file, command, partial(soak, arguments.clients, arguments.seconds), force=True)
    print(file.read_text(encoding="utf-8"))


def _kill_now_and_then(server: SoakServer, end: float, interval_seconds: float) -> None:
    next_kill = time.monotonic() + interval_seconds
    while time.monotonic() < end:
        time.sleep(1)
        server.sample()
        if next_kill < time.monotonic() < end - interval_seconds / 2:
            server.restart(signal.SIGTERM if server.kills % 2 else signal.SIGKILL)
            next_kill = time.monotonic() + interval_seconds


def _lost_texts(server: SoakServer, confirmed: list[str]) -> set[str]:
    stored: set[str] = set()
    total = 1
    while len(stored) < total:
        page = httpx.get(f"{server.url}/v1/pool", params={"offset": len(stored), "limit": 1000}, timeout=60).json()
        if not page["documents"]:
            break
        total = page["total"]
        stored |= {document["text"] for document in page["documents"]}
    return set(confirmed) - stored


def _extraction_body(text: str) -> dict[str, object]:
    return {"documents": [{"text": text}], "labels": _LABELS}


def _percentile(seconds: list[float], fraction: float) -> float:
    return sorted(seconds)[int(fraction * (len(seconds) - 1))] if seconds else 0.0


def _summarize(figures: list[int]) -> dict[str, int]:
    tenth = max(1, len(figures) // 10)
    first, last = statistics.median(figures[:tenth]), statistics.median(figures[-tenth:])
    return {"first": round(first), "last": round(last), "maximum": max(figures)}


if __name__ == "__main__":
    main()
