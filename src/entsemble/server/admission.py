"""Admission control: a bounded number of requests run, a bounded number wait, the rest are refused."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import fail_after

_MAX_RETRY_SECONDS = 300
_SMOOTHING = 0.2
"""Weight of the newest duration in the moving average."""


class QueueFullError(Exception):
    """Too many requests are waiting, or the server is stopping.

    Args:
        retry_seconds: when to try again.
        problem: why the request is refused.
    """

    def __init__(self, retry_seconds: int, problem: str = "too many requests are waiting") -> None:
        super().__init__(f"{problem}; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class AdmissionQueue:
    """Runs at most `max_running` requests at once, first come first served; at most `max_waiting` more wait.

    Attributes:
        running: how many requests run now.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._max_running, self._max_waiting = max_running, max_waiting
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._mean_seconds = 1.0
        self._is_closed = False
        self.running = 0

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return len(self._waiters)

    def check(self) -> None:
        """Check that there is room for one more request.

        Raises:
            QueueFullError: not even to wait.
        """
        if self._is_closed:
            raise stopping_error()
        pending = self.running + self.waiting
        if pending >= self._max_running + self._max_waiting:
            expected_seconds = self._mean_seconds * pending / self._max_running
            raise QueueFullError(max(1, min(_MAX_RETRY_SECONDS, round(expected_seconds))))

    def close(self) -> None:
        """Refuse the requests that wait, and all later ones."""
        self._is_closed = True
        while self._waiters:
            admission = self._waiters.popleft()
            if not admission.done():
                admission.set_exception(stopping_error())

    @asynccontextmanager
    async def slot(self, timeout_seconds: float) -> AsyncIterator[None]:
        """Wait for a slot, and hold it while the block runs.

        Raises:
            QueueFullError: too many requests are waiting, or the server is stopping.
            TimeoutError: no slot became free in time.
        """
        self.check()
        await self._acquire(timeout_seconds)
        start_time = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start_time
            self._mean_seconds = (1 - _SMOOTHING) * self._mean_seconds + _SMOOTHING * seconds
            self._release()

    async def _acquire(self, timeout_seconds: float) -> None:
        if self.running < self._max_running:
            self.running += 1
            return
        admission: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(admission)
        try:
            with fail_after(timeout_seconds):
                await admission
        except BaseException:
            if admission in self._waiters:
                self._waiters.remove(admission)
            elif admission.done() and not admission.cancelled() and admission.exception() is None:
                self._release()  # admitted at the moment at which it gave up
            raise

    def _release(self) -> None:
        self.running -= 1
        while self._waiters:
            admission = self._waiters.popleft()
            if not admission.done():
                self.running += 1
                admission.set_result(None)
                return


def stopping_error() -> QueueFullError:
    """The error of requests that a stopping server does not answer."""
    return QueueFullError(30, "the server is stopping")
