"""Extraction as the server does it: in its turn, in time, whole or as events, and not for nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from entsemble.errors import BadReplyError, EntsembleError, PromptTooLongError
from entsemble.ner.documents import Extracted, Failed
from entsemble.prompting.labels import label_set
from entsemble.server import schemas
from entsemble.server.admission import FullError, Turnstile
from entsemble.server.metrics import Measures
from entsemble.server.security import Limits
from entsemble.server.service import Request as Wanted
from entsemble.server.service import Workbench
from entsemble.server.work import Answer, answers
from entsemble.types import Document

NOT_DONE = "the models did not answer; the server's log says why"

TOO_LONG = "a sentence does not fit the context of a model; shorten it"

_LOG = logging.getLogger("entsemble.server")
_LISTEN_SECONDS = 0.5
"""How often it is asked whether somebody still waits for an answer."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """Does requests of `/v1/extract`.

    Attributes:
        workbench: answers.
        limits: how much is taken on.
        turnstile: how much at once.
        measures: told what was found.
        threads: where the work is done; one for each request that runs.
    """

    workbench: Workbench
    limits: Limits
    turnstile: Turnstile
    measures: Measures
    threads: ThreadPoolExecutor

    def wanted(self, body: schemas.ExtractIn) -> Wanted:
        """The request, where it can be done.

        Raises:
            FullError: too many are waiting.
            HTTPException: too many documents, no labels, or such that cannot be asked for.
        """
        most, given = self.limits.documents, len(body.documents)
        if given > most:
            raise HTTPException(413, f"at most {most} documents at once, and these are {given}")
        labels = body.labels or self.workbench.labels()
        if not labels:
            raise HTTPException(409, "labels: none are given, and the server has none of its own")
        try:
            label_set(labels)
        except ValueError as error:
            raise HTTPException(409, f"labels: {error}") from error
        self.turnstile.check()
        documents = tuple(Document(told.id or str(i), told.text) for i, told in enumerate(body.documents, 1))
        return Wanted(documents, labels, body.threshold, body.nested)

    async def whole(self, wanted: Wanted, request: Request) -> schemas.ExtractOut:
        """All answers; given up when whoever asked has gone.

        Raises:
            HTTPException: it took too long, or there is nobody to be answered.
        """
        task = asyncio.ensure_future(self._gathered(wanted))
        try:
            while not (await asyncio.wait({task}, timeout=_LISTEN_SECONDS))[0]:
                if await request.is_disconnected():
                    raise HTTPException(499, "whoever asked has gone")
            return task.result()
        except asyncio.TimeoutError as error:
            raise HTTPException(504, self._late()) from error
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def events(self, wanted: Wanted) -> AsyncIterator[Mapping[str, str]]:
        """`progress` after each sentence, `document` or `failed` for each document, and `done` or `error`."""
        finished = 0
        try:
            count = await run_in_threadpool(lambda: sum(len(self.workbench.sentences(d)) for d in wanted.documents))
            async with aclosing(self._answers(wanted)) as found:
                async for answer in found:
                    if isinstance(answer, Extracted):
                        yield {"event": "document", "data": self._document(answer).model_dump_json()}
                    elif isinstance(answer, Failed):
                        yield {"event": "failed", "data": _failed(answer).model_dump_json()}
                    else:
                        finished += 1
                        yield {"event": "progress", "data": json.dumps({"done": finished, "sentences": count})}
            yield {"event": "done", "data": "{}"}
        except asyncio.TimeoutError:
            yield {"event": "error", "data": json.dumps({"error": self._late()})}
        except FullError as error:
            yield {"event": "error", "data": json.dumps({"error": str(error)})}
        except EntsembleError as error:
            _LOG.error("%s", error)
            yield {"event": "error", "data": json.dumps({"error": NOT_DONE})}

    async def _gathered(self, wanted: Wanted) -> schemas.ExtractOut:
        found = schemas.ExtractOut(documents=[], failed=[])
        async with aclosing(self._answers(wanted)) as answers_:
            async for answer in answers_:
                if isinstance(answer, Extracted):
                    found.documents.append(self._document(answer))
                elif isinstance(answer, Failed):
                    found.failed.append(_failed(answer))
        return found

    async def _answers(self, wanted: Wanted) -> AsyncGenerator[Answer, None]:
        """Raises TimeoutError, FullError, and what the work raises."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.seconds
        async with self.turnstile.passed(self.limits.seconds), answers(self.workbench, wanted, self.threads) as found:
            while (answer := await asyncio.wait_for(found.get(), max(0.0, end - loop.time()))) is not None:
                if isinstance(answer, BaseException):
                    raise answer
                if isinstance(answer, Extracted):
                    self.measures.extracted(answer)
                yield answer

    def _document(self, answer: Extracted) -> schemas.DocumentOut:
        return schemas.document_out(answer, self.workbench.sentences(answer.document))

    def _late(self) -> str:
        return f"it took more than {self.limits.seconds:g} s; ask for fewer or shorter documents at once"


def _failed(answer: Failed) -> schemas.FailedOut:
    """What the client is told, and the log: neither gets a server's reply, which may repeat the text."""
    error = answer.error
    if isinstance(error, PromptTooLongError):
        return schemas.FailedOut(id=answer.document.id, error=TOO_LONG)
    unusable = isinstance(error, BadReplyError) or isinstance(error.__cause__, BadReplyError)
    _LOG.error("%s", "a model's reply cannot be used" if unusable else error)
    return schemas.FailedOut(id=answer.document.id, error=NOT_DONE)
