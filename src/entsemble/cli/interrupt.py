"""The first Ctrl-C finishes the work in flight; the second ends the process."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from entsemble.cli.output import pluralize
from entsemble.errors import EntsembleError


class StoppedError(EntsembleError):
    """A signal asked the run to stop."""

    exit_code = 130

    def __init__(self, document_count: int, *, resumable: bool) -> None:
        advice = "; re-run the same command to resume" if resumable else ""
        super().__init__(f"stopped after {pluralize(document_count, 'document')}{advice}")


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop` at the first SIGINT or SIGTERM; the second kills the process, which the journal survives.

    Yields:
        An event that is set at the first signal.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping  # only the main thread receives signals
        return
    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(_number: int, _frame: FrameType | None) -> None:
        for number in previous_handlers:
            signal.signal(number, signal.SIG_DFL)
        stopping.set()
        stop()
        sys.stderr.write("\nfinishing the sentences in flight; press Ctrl-C again to end at once\n")

    for number in previous_handlers:
        signal.signal(number, handle)
    try:
        yield stopping
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
