"""The process that reads documents: one after the other, each within limits; `isolation` starts it.

A request is a line of JSON (format, name, path, size in bytes, and the limits: seconds of the processor for each
document, bytes of memory) and the content of the file; the answers are lines of JSON, the last of which is empty.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

from entsemble.data.documents import docx, mail, odt, pdf, web_page
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, EntsembleWarning, MissingExtraError
from entsemble.types import Document

Reader = Callable[[Source, ReadOptions], Iterator[Document]]

READERS: Mapping[str, Reader] = {
    "docx": docx.read,
    "eml": mail.read,
    "html": web_page.read,
    "odt": odt.read,
    "pdf": pdf.read,
}

Answer = dict[str, Any]

_resource: Any = import_module("resource") if find_spec("resource") else None
"""Windows has none, and no limits."""


def main() -> None:
    """Answer the requests of standard input until it ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    if _resource:
        _resource.setrlimit(_resource.RLIMIT_CORE, (0, 0))
    while header := requests.readline():
        request = json.loads(header)
        content = requests.read(request["size"])
        path = None if request["path"] is None else Path(request["path"])
        source = Source(request["name"], path, BytesIO(content))
        _set_limit("RLIMIT_DATA", request["bytes"])
        for answer in chain(_answers(READERS[request["format"]], source, request["seconds"]), [{}]):
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()


def _answers(read: Reader, source: Source, seconds: int) -> Iterator[Answer]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            documents = read(source, ReadOptions())
            while document := _next_within(seconds, documents):
                yield from _warnings(caught)
                yield {"document": [document.id, document.text, dict(document.meta)]}
            yield from _warnings(caught)
        except DataError as error:
            yield from _warnings(caught)
            yield {"problem": error.problem, "line": error.line}
        except MissingExtraError as error:
            yield {"missing": [error.package, error.extra, error.purpose, error.reason]}
        except MemoryError:
            yield {"memory": None}


def _next_within(seconds: int, documents: Iterator[Document]) -> Document | None:
    if _resource:
        usage = _resource.getrusage(_resource.RUSAGE_SELF)
        _set_limit("RLIMIT_CPU", math.ceil(usage.ru_utime + usage.ru_stime) + seconds)
    return next(documents, None)


def _set_limit(name: str, value: int) -> None:
    if _resource:
        kind = getattr(_resource, name)
        _, hard_limit = _resource.getrlimit(kind)
        _resource.setrlimit(kind, (value if hard_limit < 0 else min(value, hard_limit), hard_limit))


def _warnings(caught: list[warnings.WarningMessage]) -> Iterator[Answer]:
    while caught:
        message = caught.pop(0)
        if issubclass(message.category, EntsembleWarning):
            yield {"warning": str(message.message)}
