"""Background work of a review: extraction from the documents that wait for it, and the pool from what is signed off."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from entsemble._lib.cancellation import WorkCancelledError, cancellable
from entsemble.errors import DataError, EntsembleError
from entsemble.ner.documents import Failed
from entsemble.review.documents import CANCELLED, FAILED
from entsemble.review.session import Session
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionRequest, ExtractionService
from entsemble.server.streaming import failure_reason
from entsemble.server.work import WorkThreads
from entsemble.types import Document, Span

_LOG = logging.getLogger("entsemble.server")

_POOL_DELAY_SECONDS = 1.0
"""How long after an edit the pool is written, so that it is not written for each of several keys."""


class ReviewExtraction:
    """Extracts from one document after the other, sentence by sentence, and stores each sentence at once.

    Args:
        service: extracts.
        session: holds the documents.
        threads: where extractions run.
    """

    def __init__(self, service: ExtractionService, session: Session, threads: WorkThreads) -> None:
        self._service, self._session, self._threads = service, session, threads
        self._lock = threading.Lock()
        self._is_running = self._restarts = False
        self._stopping, self._cancelled = threading.Event(), threading.Event()
        self._preferred: int | None = None
        self._progress: dict[str, Any] | None = None
        self._started = 0.0

    def start(self, preferred: int | None = None) -> None:
        """Extract from the documents that wait, the preferred one first, unless this is being done already."""
        with self._lock:
            self._preferred = preferred if preferred is not None else self._preferred
            if self._stopping.is_set():
                return
            if self._is_running:
                self._restarts = self._cancelled.is_set()
                return
            self._is_running = True
            self._cancelled.clear()
        self._threads.submit(self._run)

    def cancel(self) -> None:
        """Stop after the call of a model that is in progress; what was extracted stays."""
        self._session.cancel_extraction()
        self._cancelled.set()

    def stop(self) -> None:
        """Stop for good; what waits is extracted at the next start."""
        self._stopping.set()

    def request(self) -> ExtractionRequest | None:
        """What is asked for each document; `None` if the session has none."""
        if next(self._session.documents(), None) is None:
            return None
        return ExtractionRequest((), self._session.labels, nested=self._session.nested)

    def progress(self) -> dict[str, Any] | None:
        """The document in progress, its sentences done and in all, and the seconds left; `None` if there is none."""
        progress = self._progress
        if progress is None:
            return None
        done, total = progress["done"], progress["total"]
        remaining = (time.monotonic() - self._started) / done * (total - done) if done else None
        return {**progress, "seconds": remaining}

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._restarts:
                    self._restarts = False
                    self._cancelled.clear()
                document = None if self._is_interrupted() else self._session.next_waiting(self._preferred)
                if document is None:
                    self._is_running, self._progress = False, None
                    return
            try:
                self._extract(document)
            except WorkCancelledError:
                if not self._stopping.is_set():
                    self._session.set_extraction(document, CANCELLED)
            except EntsembleError as error:
                self._fail(document, failure_reason(error))
            except Exception:
                _LOG.exception("a document cannot be extracted")
                self._fail(document, "internal error; see the server's log")

    def _extract(self, document: int) -> None:
        sentences = self._session.unextracted_sentences(document)
        self._started = time.monotonic()
        self._progress = {"document": document, "done": 0, "total": len(sentences)}
        labels = self._session.labels
        if not labels:
            self._fail(document, "there are no labels; name at least one, then extract")
            return
        problems: list[str] = []
        if sentences:
            parts = tuple(Document(str(number), text, (), (Span(0, len(text)),)) for number, text in sentences)
            request = ExtractionRequest(parts, labels, nested=self._session.nested)
            with cancellable(self._is_interrupted), self._service.extraction(request) as results:
                for (number, _), result in zip(sentences, results, strict=True):
                    if isinstance(result, Failed):
                        problems.append(failure_reason(result.error))
                    else:
                        self._session.store_sentence(document, number, result)
                    self._progress = {**self._progress, "done": self._progress["done"] + 1}
        if problems:
            self._fail(document, problems[0])
        else:
            self._session.set_extraction(document)

    def _fail(self, document: int, reason: str) -> None:
        self._session.set_extraction(document, FAILED, reason)

    def _is_interrupted(self) -> bool:
        return self._stopping.is_set() or self._cancelled.is_set()


class PoolWriter:
    """Writes what is signed off to the pool, a moment after the edit.

    Args:
        session: holds the sentences.
        pool: where they are written.
    """

    def __init__(self, session: Session, pool: PoolFile) -> None:
        self._session, self._pool = session, pool
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.problem = ""

    def schedule(self) -> None:
        """Write soon."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(_POOL_DELAY_SECONDS, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write now; a problem is logged, and the next edit tries again."""
        with self._lock:
            self._timer = None
        try:
            self._session.write_pool(self._pool)
            self.problem = ""
        except DataError as error:
            _LOG.error("%s", error)
            self.problem = "the pool cannot be written; see the server's log"

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self.write()
