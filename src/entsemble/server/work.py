"""Work of requests in threads: bounded, abandoned when nobody waits for it, and never longer than a request's slot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from anyio import CancelScope
from starlette.exceptions import HTTPException
from starlette.requests import Request

from entsemble._lib.cancellation import CancelCheck, WorkCancelledError, cancellable, check_cancelled

Answer = TypeVar("Answer")

_ABANDON_SECONDS = 0.7
"""How long a request that is over waits for its thread, which may be inside a call that cannot be interrupted."""


class WorkThreads:
    """Threads for as many requests as may run at once, and for some that were abandoned within a long call.

    Args:
        concurrent_requests: how many run at once.
    """

    def __init__(self, concurrent_requests: int) -> None:
        self._max_abandoned = concurrent_requests
        self._executor = ThreadPoolExecutor(2 * concurrent_requests + 1, "entsemble-request")
        self._running: set[Future[None]] = set()
        self._abandoned: set[asyncio.Future[None]] = set()
        self._interruptions: set[Callable[[Exception], None]] = set()

    def submit(self, function: Callable[[], None]) -> Future[None]:
        """Run a function in a thread."""
        future = self._executor.submit(function)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    @asynccontextmanager
    async def work(
        self, function: Callable[[CancelCheck], None], interrupt: Callable[[Exception], None]
    ) -> AsyncIterator[None]:
        """Run a function in a thread while the block runs; at its end, the function is cancelled.

        It is then waited for, so that work that nobody wants does not compete with the next request's; but less than a
        second, unless as many that were abandoned run already as there are slots.

        Args:
            function: called with a function that says whether it is cancelled, which calls of models check themselves.
            interrupt: makes the block raise an error.
        """
        cancelled = threading.Event()

        def run() -> None:
            with suppress(WorkCancelledError), cancellable(cancelled.is_set):
                check_cancelled()
                function(cancelled.is_set)

        running = asyncio.wrap_future(self.submit(run))
        self._interruptions.add(interrupt)
        try:
            yield
        finally:
            self._interruptions.discard(interrupt)
            cancelled.set()
            with CancelScope(shield=True):
                await self._wait_or_abandon(running)

    async def result(self, function: Callable[[CancelCheck], Answer]) -> Answer:
        """The result of a function that is called as by `work`.

        Raises:
            Exception: what the function raises.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Answer] = loop.create_future()

        def set_outcome(set_value: Callable[[], None]) -> None:
            if not outcome.done():
                set_value()

        def interrupt(error: Exception) -> None:
            set_outcome(lambda: outcome.set_exception(error))

        def run(is_cancelled: CancelCheck) -> None:
            try:
                answer = function(is_cancelled)
            except Exception as error:  # raised again in the event loop
                if not is_cancelled():
                    loop.call_soon_threadsafe(interrupt, error)
            else:
                if not is_cancelled():
                    loop.call_soon_threadsafe(set_outcome, lambda: outcome.set_result(answer))

        async with self.work(run, interrupt):
            return await outcome

    def interrupt(self, error: Exception) -> None:
        """End all work with an error."""
        for interrupt in list(self._interruptions):
            interrupt(error)

    async def close(self) -> bool:
        """Start nothing more, and wait a moment for what runs.

        Returns:
            Whether it has ended.
        """
        self._executor.shutdown(wait=False, cancel_futures=True)
        if running := [asyncio.wrap_future(future) for future in list(self._running)]:
            await asyncio.wait(running, timeout=_ABANDON_SECONDS)
        return not self._running

    async def _wait_or_abandon(self, running: asyncio.Future[None]) -> None:
        await asyncio.wait({running}, timeout=_ABANDON_SECONDS)
        while not running.done() and len(self._abandoned) >= self._max_abandoned:
            await asyncio.wait({running, *self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            self._abandoned.add(running)
            running.add_done_callback(self._abandoned.discard)


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of a coroutine, which is cancelled if the client disconnects.

    Raises:
        HTTPException: the client disconnected.
        BaseException: what the coroutine raises.
    """
    task, departure = asyncio.ensure_future(work), asyncio.ensure_future(_disconnection(request))
    try:
        await asyncio.wait({task, departure}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499, "the client disconnected")
        return task.result()
    finally:
        departure.cancel()
        task.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({task, departure})


async def _disconnection(request: Request) -> None:
    """Ends when the client disconnects; the request's body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
