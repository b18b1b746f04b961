"""How soon an extraction ends whose client has left.

    python -m benchmarks.server.leaving [--departures 20] [--again]

A server in this process extracts from a long text with the models that it has by default, and a client closes its
connection in the middle. The time is from there to the end of the thread that extracts, as that thread sees it. There
is a result for each version of Python.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path

import httpx
from httpx import codes

from benchmarks.common import run_once
from entsemble import settings
from entsemble._lib.cancellation import CancelCheck
from entsemble.review.session import Session
from entsemble.server.app import create_app
from entsemble.server.connections import Server
from entsemble.server.limits import Limits
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionService
from entsemble.server.work import WorkThreads
from entsemble.settings import environment

RESULTS = Path(__file__).parent / "results" / "leaving"

ANSWERS = {"JSON": "application/json", "events": "text/event-stream"}
"""Name -> media type that the client asks for."""

_LABELS = {"person": "", "organisation": "", "place": ""}
_COPIES = 200
"""Of the sample text: more than any client here waits for."""

_SEED, _PATIENCE_SECONDS = 0, 120.0
_EARLIEST, _LATEST = 0.3, 1.3
"""Seconds after the beginning of the work between which a client leaves."""


class _Work:
    """The extractions of a server: whether one runs, and when the last one ended."""

    def __init__(self) -> None:
        self.begun, self.ended, self.end_seconds = threading.Event(), threading.Event(), 0.0

    def watch(self) -> None:
        """Have the server's threads say when they begin and end."""
        work = WorkThreads.work

        def watched_work(
            threads: WorkThreads, function: Callable[[CancelCheck], None], interrupt: Callable[[Exception], None]
        ) -> AbstractAsyncContextManager[None]:
            def run(is_cancelled: CancelCheck) -> None:
                self.begun.set()
                try:
                    function(is_cancelled)
                finally:
                    self.end_seconds = time.perf_counter()
                    self.ended.set()

            return work(threads, run, interrupt)

        setattr(WorkThreads, "work", watched_work)  # noqa: B010


def main() -> None:
    """Measure with this Python, unless that was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--departures", type=int, default=20)
    parser.add_argument("--again", action="store_true", help="measure again")
    arguments = parser.parse_args()
    version = ".".join(platform.python_version_tuple()[:2])
    command = f"python{version} -m benchmarks.server.leaving --departures {arguments.departures}"
    run_once(RESULTS / f"{version}.json", command, partial(measure, arguments.departures), force=arguments.again)


def measure(departures: int) -> Mapping[str, object]:
    """Seconds from each departure to the end of the work."""
    generator, work = random.Random(_SEED), _Work()
    work.watch()
    with _server() as port:
        return {
            "python": platform.python_version(),
            "seconds": {
                name: [
                    round(_leave(port, media_type, work, generator.uniform(_EARLIEST, _LATEST)), 3)
                    for _ in range(departures)
                ]
                for name, media_type in ANSWERS.items()
            },
        }


def _leave(port: int, media_type: str, work: _Work, after_seconds: float) -> float:
    sample = (files("entsemble") / "samples" / "demo.txt").read_text(encoding="utf-8")
    text = "\n".join(sample.replace(".", f" {copy}.") for copy in range(_COPIES))  # no two sentences are the same
    content = json.dumps({"documents": [{"text": text}], "labels": _LABELS}).encode()
    head = (
        f"POST /v1/extract HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {media_type}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    work.begun.clear()
    work.ended.clear()
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as client:
        client.sendall(head.encode() + content)
        if not work.begun.wait(_PATIENCE_SECONDS):
            raise TimeoutError("the server does not begin")
        time.sleep(after_seconds)
        if work.ended.is_set():
            raise RuntimeError("the work ended before the client left")
    left_seconds = time.perf_counter()
    if not work.ended.wait(_PATIENCE_SECONDS):
        raise TimeoutError("the work does not end")
    return work.end_seconds - left_seconds


@contextmanager
def _server() -> Iterator[int]:
    """The port of a server with an empty pool."""
    has_started = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        pool = PoolFile(Path(folder) / "pool.jsonl")
        session = Session(Path(folder) / "texts.review")
        session.set_defaults(_LABELS, nested=False)
        service = ExtractionService(
            lambda values: settings.load(overrides={"cache": {"replies": False}, **values}), environment(), pool
        )
        limits = Limits()
        app = create_app(service, session, limits)
        server = Server(
            app, "127.0.0.1", 0, limits, on_started=lambda *_: has_started.set(), on_stopping=app.state.stop
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            if not has_started.wait(_PATIENCE_SECONDS):
                raise TimeoutError("the server does not start")
            while httpx.get(f"http://127.0.0.1:{server.used_port}/readyz").status_code != codes.OK:
                time.sleep(0.2)
            yield server.used_port
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_SECONDS)
            session.close()
            pool.close()


if __name__ == "__main__":
    main()
