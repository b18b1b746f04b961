"""Ctrl-C once finishes what is being worked on; twice ends at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from entsemble.cli.wording import counted
from entsemble.errors import EntsembleError


class StoppedError(EntsembleError):
    """The user, or the system, asked to stop."""

    exit_code = 130

    def __init__(self, documents: int, *, resumable: bool) -> None:
        again = "; run the same command again to go on from there" if resumable else ""
        super().__init__(f"stopped after {counted(documents, 'document')}{again}")


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop` at the first SIGINT or SIGTERM, and say so; the second kills the process, which the journal survives.

    Yields:
        Set once a signal came.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(_: int, __: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        stopping.set()
        stop()
        sys.stderr.write("\nfinishing what is in flight; press Ctrl-C again to end at once\n")

    for number in before:
        signal.signal(number, handle)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
