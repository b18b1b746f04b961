"""From the event loop to the threads that do the work, and back: answers as they come, and an end when nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import CancelScope

from entsemble.extractor import LocalExtractor
from entsemble.ner.documents import Extracted, Failed
from entsemble.server.service import Request, Workbench


@dataclass(frozen=True, slots=True)
class SentenceDone:
    """One more sentence was done; which documents are whole is told by themselves."""


Answer = Extracted | Failed | SentenceDone


class _Work:
    """One request's, stopped from the event loop while a thread does it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._extractor: LocalExtractor | None = None
        self.stopped = False

    def began(self, extractor: LocalExtractor) -> None:
        with self._turn:
            self._extractor = extractor
            if self.stopped:
                extractor.stop()

    def stop(self) -> None:
        with self._turn:
            self.stopped = True
            if self._extractor is not None:
                self._extractor.stop()


@asynccontextmanager
async def answers(
    workbench: Workbench, request: Request, threads: ThreadPoolExecutor
) -> AsyncIterator[asyncio.Queue[Answer | BaseException | None]]:
    """A queue that the answers to a request come into, then `None`; an error of the work stands in it before that.

    On the way out the work is stopped: nothing more is begun, and what is being worked on is waited for, so that a
    request that nobody waits for any more never works beside the next.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Answer | BaseException | None]()
    work = _Work()

    def put(item: Answer | BaseException | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, item)

    def run() -> None:
        try:
            if work.stopped:
                return
            with workbench.answering(request, lambda: put(SentenceDone()), lambda: work.stopped) as (
                extractor,
                results,
            ):
                work.began(extractor)
                for result in results:
                    put(result)
        except Exception as error:  # raised again where the answers are taken
            put(error)
        finally:
            put(None)

    running = loop.run_in_executor(threads, run)
    try:
        yield queue
    finally:
        work.stop()
        with CancelScope(shield=True):
            await running
