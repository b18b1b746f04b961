"""How many requests are worked on, and how many may wait for that: what is beyond is refused, not piled up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LONGEST_WAIT = 300
"""Seconds after which even a busy server may be asked again."""


class FullError(Exception):
    """Too many are waiting already.

    Args:
        seconds: after which it makes sense to come again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"come again in {seconds} s")
        self.seconds = seconds


class Turnstile:
    """Lets `running` through at a time, in the order in which they came, and `waiting` wait."""

    def __init__(self, running: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(running)
        self._at_once, self._most = running, waiting
        self.running, self.waiting = 0, 0
        self._seconds = 1.0

    def check(self) -> None:
        """Raise FullError where one more could not even wait."""
        if self.running + self.waiting >= self._at_once + self._most:
            expected = self._seconds * (self.waiting + self.running) / self._at_once
            raise FullError(max(1, min(_LONGEST_WAIT, round(expected))))

    @asynccontextmanager
    async def passed(self, seconds: float) -> AsyncIterator[None]:
        """Wait for a turn, and keep it.

        Raises:
            FullError: too many wait already.
            TimeoutError: no turn came in so many seconds.
        """
        self.check()
        self.waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), seconds)
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds = 0.8 * self._seconds + 0.2 * (time.monotonic() - began)
            self.running -= 1
            self._free.release()
