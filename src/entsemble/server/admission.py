"""Admission control: a bounded number of requests run, a bounded number wait, the rest are refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_MAX_RETRY_SECONDS = 300
_SMOOTHING = 0.2
"""Weight of the newest duration in the moving average."""


class QueueFullError(Exception):
    """Too many requests are waiting.

    Args:
        retry_seconds: when to try again.
    """

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class AdmissionQueue:
    """Runs at most `max_running` requests at once, first come first served; at most `max_waiting` more wait.

    Attributes:
        running, waiting: how many requests run and wait now.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._slots = asyncio.Semaphore(max_running)
        self._max_running, self._max_waiting = max_running, max_waiting
        self.running, self.waiting = 0, 0
        self._mean_seconds = 1.0

    def check(self) -> None:
        """Check that there is room for one more request.

        Raises:
            QueueFullError: not even to wait.
        """
        pending = self.running + self.waiting
        if pending >= self._max_running + self._max_waiting:
            expected_seconds = self._mean_seconds * pending / self._max_running
            raise QueueFullError(max(1, min(_MAX_RETRY_SECONDS, round(expected_seconds))))

    @asynccontextmanager
    async def slot(self, timeout_seconds: float) -> AsyncIterator[None]:
        """Wait for a slot, and hold it while the block runs.

        Raises:
            QueueFullError: too many requests are waiting.
            TimeoutError: no slot became free in time.
        """
        self.check()
        self.waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), timeout_seconds)
        finally:
            self.waiting -= 1
        self.running += 1
        start_time = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start_time
            self._mean_seconds = (1 - _SMOOTHING) * self._mean_seconds + _SMOOTHING * seconds
            self.running -= 1
            self._slots.release()
