"""A function over many inputs on the threads of this process: engines release the interpreter while they compute."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

from entsemble._lib.cancellation import CancelCheck, WorkCancelledError, current_cancel_check, use_cancel_check
from entsemble.protocols import Input, Output

_EXHAUSTED = object()


class LocalMapper:
    """A `Mapper` on threads.

    At most twice as many inputs as there are threads are read before their results are taken, so that memory does not
    grow with the input.

    Args:
        workers: number of threads, at least 1.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("a mapper needs at least one worker")
        self.workers = workers
        self._stop_event = threading.Event()

    def stop(self) -> None:
        """Start nothing more, for good: what is in progress is finished, and then the results end."""
        self._stop_event.set()

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """See `Mapper.map`. An error of `function` ends the iteration, and nothing more is started.

        Raises:
            WorkCancelledError: the work was abandoned before all results were there.
        """
        futures: deque[Future[Output]] = deque()
        is_cancelled = current_cancel_check()
        with ThreadPoolExecutor(
            self.workers, "entsemble", initializer=use_cancel_check, initargs=(is_cancelled,)
        ) as executor:
            try:
                remaining = iter(inputs)
                while not self._is_over(is_cancelled) and (next_input := next(remaining, _EXHAUSTED)) is not _EXHAUSTED:
                    futures.append(executor.submit(function, cast("Input", next_input)))
                    if len(futures) >= 2 * self.workers:
                        yield futures.popleft().result()
                while futures and not (self._is_over(is_cancelled) and futures[0].cancel()):
                    yield futures.popleft().result()
                if is_cancelled() and (futures or next(remaining, _EXHAUSTED) is not _EXHAUSTED):
                    raise WorkCancelledError
            finally:
                for future in futures:
                    future.cancel()

    def _is_over(self, is_cancelled: CancelCheck) -> bool:
        return self._stop_event.is_set() or is_cancelled()
