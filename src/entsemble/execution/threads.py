"""Many inputs on this machine, on threads: the engines release the interpreter while they work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

from entsemble.protocols import Input, Output

_END = object()


class LocalMapper:
    """A `Mapper` on `workers` threads.

    At most twice as many inputs as workers are taken in before their results are taken out, so memory does not grow
    with the input.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("a mapper needs at least one worker")
        self.workers = workers
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin nothing more: what is being worked on is finished, and then the results end. For good."""
        self._stopping.set()

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """See `Mapper.map`. An error in `function` ends the iteration; what has not begun is not begun."""
        waiting: deque[Future[Output]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="entsemble") as pool:
            try:
                source = iter(inputs)
                while not self._stopping.is_set() and (value := next(source, _END)) is not _END:
                    waiting.append(pool.submit(function, cast("Input", value)))
                    if len(waiting) >= 2 * self.workers:
                        yield waiting.popleft().result()
                while waiting and not (self._stopping.is_set() and waiting[0].cancel()):
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
