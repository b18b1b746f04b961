"""Many inputs on this machine, on threads: the engines release the interpreter while they work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from entsemble.protocols import Input, Output


class LocalMapper:
    """A `Mapper` on `workers` threads.

    At most twice as many inputs as workers are taken in before their results are taken out, so memory does not grow
    with the input.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("a mapper needs at least one worker")
        self.workers = workers

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """See `Mapper.map`. An error in `function` ends the iteration; what has not begun is not begun."""
        waiting: deque[Future[Output]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="entsemble") as pool:
            try:
                for value in inputs:
                    waiting.append(pool.submit(function, value))
                    if len(waiting) >= 2 * self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
