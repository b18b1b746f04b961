"""Extraction requests: admission control, deadline, JSON or SSE, cancellation on disconnect."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from anyio import fail_after
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from entsemble._lib.cancellation import CancelCheck
from entsemble.errors import BadReplyError, EntsembleError, PromptTooLongError
from entsemble.ner.documents import Extracted, Failed
from entsemble.prompting.labels import label_set
from entsemble.server import schemas
from entsemble.server.admission import AdmissionQueue, QueueFullError
from entsemble.server.limits import Limits
from entsemble.server.metrics import Metrics
from entsemble.server.service import ExtractionRequest, ExtractionService
from entsemble.server.work import WorkThreads, while_connected
from entsemble.types import Document

NO_ANSWER = "the models did not answer; see the server's log"

TOO_LONG = "a sentence does not fit the context of a model; shorten it"

_LOG = logging.getLogger("entsemble.server")


@dataclass(frozen=True, slots=True)
class SentenceDone:
    """Progress: one more sentence has been processed."""


StreamItem = Extracted | Failed | SentenceDone


@asynccontextmanager
async def stream_results(
    service: ExtractionService, request: ExtractionRequest, threads: WorkThreads
) -> AsyncIterator[asyncio.Queue[StreamItem | Exception | None]]:
    """A queue of the results of a request as they become available; an error, if there is one; then `None`."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[StreamItem | Exception | None]()

    def run(is_cancelled: CancelCheck) -> None:
        def put(item: StreamItem | Exception | None) -> None:
            if not is_cancelled():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        try:
            with service.extraction(request, lambda: put(SentenceDone())) as results:
                for result in results:
                    put(result)
        except Exception as error:  # raised again in the event loop
            put(error)
        else:
            put(None)

    async with threads.work(run, queue.put_nowait):
        yield queue


@dataclass(frozen=True, slots=True)
class ExtractHandler:
    """Handles requests to `/v1/extract`.

    Attributes:
        service: extracts.
        limits: what is accepted.
        queue: admission control.
        metrics: counts the results.
        threads: where extractions run.
    """

    service: ExtractionService
    limits: Limits
    queue: AdmissionQueue
    metrics: Metrics
    threads: WorkThreads

    def parse(self, body: schemas.ExtractIn) -> ExtractionRequest:
        """The request, validated.

        Raises:
            HTTPException: no labels, or invalid ones.
            TooLargeError: it exceeds a limit.
            QueueFullError: too many requests are waiting.
        """
        self.limits.check_document_count(len(body.documents))
        for document in body.documents:
            self.limits.check_document(document.text)
        labels = body.labels or self.service.labels()
        if not labels:
            raise HTTPException(409, "labels: the request names none, and the server has no default labels")
        self.limits.check_labels(labels)
        try:
            label_set(labels)
        except ValueError as error:
            raise HTTPException(409, f"labels: {error}") from error
        self.queue.check()
        documents = tuple(
            Document(document.id or str(number), document.text) for number, document in enumerate(body.documents, 1)
        )
        return ExtractionRequest(documents, labels, body.threshold, body.nested)

    async def all_results(self, extraction: ExtractionRequest, request: Request) -> schemas.ExtractOut:
        """All results at once; cancelled if the client disconnects.

        Raises:
            HTTPException: the deadline passed, or the client disconnected.
            QueueFullError: too many requests are waiting, or the server is stopping.
        """
        try:
            return await while_connected(request, self._collect(extraction))
        except TimeoutError as error:
            raise HTTPException(504, self._timeout_message()) from error

    async def events(self, extraction: ExtractionRequest) -> AsyncIterator[Mapping[str, str]]:
        """`progress` after each sentence, `document` or `failed` for each document, then `done` or `error`."""
        finished = 0
        try:
            sentence_count = await run_in_threadpool(self._count_sentences, extraction)
            async with aclosing(self._results(extraction)) as results:
                async for result in results:
                    if isinstance(result, Extracted):
                        yield {"event": "document", "data": self._document(result).model_dump_json()}
                    elif isinstance(result, Failed):
                        yield {"event": "failed", "data": _failure(result).model_dump_json()}
                    else:
                        finished += 1
                        yield _event("progress", {"done": finished, "sentences": sentence_count})
            yield _event("done", {})
        except TimeoutError:
            yield _event("error", {"error": self._timeout_message()})
        except QueueFullError as error:
            yield _event("error", {"error": str(error)})
        except EntsembleError as error:
            _LOG.error("%s", error)
            yield _event("error", {"error": NO_ANSWER})

    async def _collect(self, extraction: ExtractionRequest) -> schemas.ExtractOut:
        collected = schemas.ExtractOut(documents=[], failed=[])
        async with aclosing(self._results(extraction)) as results:
            async for result in results:
                if isinstance(result, Extracted):
                    collected.documents.append(self._document(result))
                elif isinstance(result, Failed):
                    collected.failed.append(_failure(result))
        return collected

    async def _results(self, extraction: ExtractionRequest) -> AsyncGenerator[StreamItem, None]:
        """Raises TimeoutError, QueueFullError, and any error of the extraction."""
        timeout_seconds = self.limits.timeout_seconds
        deadline = time.monotonic() + timeout_seconds
        async with (
            self.queue.slot(timeout_seconds),
            stream_results(self.service, extraction, self.threads) as results,
        ):
            while True:
                with fail_after(max(0.0, deadline - time.monotonic())):
                    item = await results.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, Extracted):
                    self.metrics.count_result(item)
                yield item

    def _count_sentences(self, extraction: ExtractionRequest) -> int:
        return sum(len(self.service.sentence_offsets(document)) for document in extraction.documents)

    def _document(self, result: Extracted) -> schemas.DocumentOut:
        return schemas.document_out(result, self.service.sentence_offsets(result.document))

    def _timeout_message(self) -> str:
        seconds = self.limits.timeout_seconds
        return f"the extraction took more than {seconds:g} s; send fewer or shorter documents per request"


def _event(name: str, content: Mapping[str, object]) -> dict[str, str]:
    return {"event": name, "data": json.dumps(content)}


def _failure(failed: Failed) -> schemas.FailedOut:
    """The error for the client, and a log entry; a model server's reply goes into neither, as it may quote the text."""
    return schemas.FailedOut(id=failed.document.id, error=failure_reason(failed.error))


def failure_reason(error: EntsembleError) -> str:
    """Why a text failed, for the client; the details go to the log."""
    if isinstance(error, PromptTooLongError):
        return TOO_LONG
    is_bad_reply = isinstance(error, BadReplyError) or isinstance(error.__cause__, BadReplyError)
    _LOG.error("%s", "a model's reply cannot be used" if is_bad_reply else error)
    return NO_ANSWER
