"""Documents are read in a process of its own, since libraries that parse what strangers wrote may hang or crash.

While such a library computes, it does not let Python run: neither a signal nor another request would be answered.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from entsemble.data.documents.shared import MAX_FILE_BYTES
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, MissingExtraError, warn
from entsemble.types import Document

if TYPE_CHECKING:
    from entsemble.data.documents.worker import Answer

MAX_SECONDS = 30
"""Of the processor, for each document: a file, or a page of a PDF."""

MAX_BYTES = 1 << 30
"""Of memory, besides the file itself. Windows keeps neither limit."""


def isolated(format_name: str) -> Callable[[Source, ReadOptions], Iterator[Document]]:
    """A reader for a format in `worker.READERS`, which reads in another process."""

    def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
        """The documents of a file.

        Raises:
            DataError: it cannot be read, or takes too much time or memory.
            MissingExtraError: a package is not installed.
        """
        content = source.content(MAX_FILE_BYTES)
        worker = _take_worker()
        try:
            for answer in worker.answers(format_name, source, content):
                if "document" in answer:
                    document_id, text, meta = answer["document"]
                    yield Document(document_id, text, meta=meta)
                elif "warning" in answer:
                    warn(answer["warning"])
                elif "missing" in answer:
                    raise MissingExtraError(*answer["missing"])
                elif "memory" in answer:
                    raise DataError(_describe_memory(), source.place)
                else:
                    raise DataError(answer["problem"], source.place, answer["line"])
        finally:
            worker.release()

    return read


_LAST = {"problem", "missing", "memory"}
"""Kinds of answers that only the empty one follows."""


class _Worker:
    """A process that reads documents.

    Attributes:
        owner: the process that started it; a fork of that one must not use it.
    """

    def __init__(self) -> None:
        search_path = [entry for entry in sys.path if entry]  # not the current folder, which may hold anything
        code = f"import sys; sys.path[:] = {search_path!r}; from entsemble.data.documents.worker import main; main()"
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._is_free = True

    def answers(self, format_name: str, source: Source, content: bytes) -> Iterator[Answer]:
        """What the process answers about a file.

        Raises:
            DataError: it ended.
        """
        requests, answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        path = None if source.path is None else str(source.path)
        request = {
            "format": format_name,
            "name": source.name,
            "path": path,
            "size": len(content),
            "seconds": MAX_SECONDS,
            "bytes": MAX_BYTES + 3 * len(content),
        }
        self._is_free = False
        with suppress(BrokenPipeError):  # then there is no answer either
            requests.write(json.dumps(request).encode() + b"\n" + content)
            requests.flush()
        while line := answers.readline():
            answer: Answer = json.loads(line)
            self._is_free = not answer or bool(answer.keys() & _LAST and not json.loads(answers.readline()))
            if answer:
                yield answer
            if self._is_free:
                return
        raise DataError(_describe_end(self._process.wait()), source.place)

    def is_running(self) -> bool:
        """Whether it can answer."""
        return self._process.poll() is None

    def release(self) -> None:
        """Keep it for the next file if it has answered completely, and if no other one is kept."""
        with _lock:
            if self._is_free and not any(worker.owner == os.getpid() for worker in _free_workers):
                _free_workers.append(self)
                return
        self.end()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


_lock = threading.Lock()
_free_workers: list[_Worker] = []


def _take_worker() -> _Worker:
    with _lock:
        usable = [worker for worker in _free_workers if worker.owner == os.getpid() and worker.is_running()]
        _free_workers.clear()
    return usable[0] if usable else _Worker()


def _end_free_workers() -> None:
    while _free_workers:
        worker = _free_workers.pop()
        if worker.owner == os.getpid():
            worker.end()


atexit.register(_end_free_workers)


def _describe_end(exit_code: int) -> str:
    if hasattr(signal, "SIGXCPU") and exit_code == -signal.SIGXCPU:
        return f"reading it takes more than {MAX_SECONDS} s of the processor; split it, or save its text as .txt"
    return f"its reader ended with status {exit_code}: it is damaged, or {_describe_memory()}"


def _describe_memory() -> str:
    return f"reading it takes more than {MAX_BYTES >> 20:,} MB of memory; split it, or save its text as .txt"
