"""Signals: Ctrl-C and SIGTERM end a run cleanly, and soon, whatever it is doing."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from entsemble._lib.atomic import abandon_replacements
from entsemble._lib.text import pluralize
from entsemble.errors import EntsembleError

INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT
SECONDS_TO_END = 5.0
"""How long a run may take to end after a signal, or after the reader of standard output is gone."""

_SYSTEM_SECONDS = 1.0
"""How much later the system ends a process whose threads do not run even then, as on an overloaded machine."""

_TERMINATION_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""

_ending = threading.Lock()
_timers: list[threading.Timer] = []
_seconds_of_servers: list[float] = []


class StopEvent(threading.Event):
    """Is set when a signal arrives.

    Attributes:
        exit_code: 128 and the number of the signal.
    """

    exit_code = INTERRUPTED_EXIT_CODE


class StoppedError(EntsembleError):
    """A signal asked the run to stop, and it did."""

    def __init__(self, document_count: int, stopping: StopEvent, *, resumable: bool) -> None:
        self.exit_code = stopping.exit_code
        advice = "; re-run the same command to resume" if resumable else ""
        super().__init__(f"stopped after {pluralize(document_count, 'document')}{advice}")


class TerminatedError(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(self.exit_code)


def start_deadline(exit_code: int, seconds: float | None = None) -> None:
    """End the process in `seconds`, or `SECONDS_TO_END`, whatever it is doing then, without half-written files.

    The first deadline counts.
    """
    seconds = SECONDS_TO_END if seconds is None else seconds
    timer = threading.Timer(seconds, _end_at_once, [exit_code])
    timer.daemon = True
    timer.start()
    _timers.append(timer)
    is_unused = hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    if is_unused and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
        signal.setitimer(signal.ITIMER_REAL, seconds + _SYSTEM_SECONDS)


def _cancel_deadlines() -> None:
    if _timers and hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
        signal.setitimer(signal.ITIMER_REAL, 0)
    while _timers:
        _timers.pop().cancel()


@contextmanager
def server_deadline(seconds: float) -> Iterator[None]:
    """In the block, a server handles signals; if the process has not ended this long after the first, end it."""
    _seconds_of_servers.append(seconds)
    try:
        yield
    finally:
        _seconds_of_servers.pop()


@contextmanager
def terminable() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, and SIGTERM and SIGHUP `TerminatedError`.

    If the block has not ended `SECONDS_TO_END` later, the process ends: Python handles signals between its own
    instructions only, and an engine may compute for minutes. A second Ctrl-C ends it at once.
    """
    with _handlers(_TERMINATION_SIGNALS, _terminate), _watched_signals():
        try:
            yield
        finally:
            _cancel_deadlines()


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[StopEvent]:
    """Call `stop` at the first SIGINT or SIGTERM; the second kills the process, which the journal survives.

    After SIGTERM the process ends in `SECONDS_TO_END`, even if the work in flight is not finished by then.

    Yields:
        An event that is set at the first signal.
    """
    stopping = StopEvent()
    with _handlers([signal.SIGINT, signal.SIGTERM], _GracefulStop(stop, stopping)):
        yield stopping


class _GracefulStop:
    """Handles the first signal in an `interruptible` block."""

    def __init__(self, stop: Callable[[], None], stopping: StopEvent) -> None:
        self._stop, self._stopping = stop, stopping

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        for handled in (signal.SIGINT, signal.SIGTERM):
            signal.signal(handled, signal.SIG_DFL)
        self._stopping.exit_code = 128 + number
        self._stopping.set()
        self._stop()
        end = "; press Ctrl-C again to end at once"
        if number == signal.SIGTERM:
            start_deadline(self._stopping.exit_code)
            end = f", for {SECONDS_TO_END:g} seconds at most"
        with suppress(RuntimeError):  # the signal arrived in the middle of another message
            sys.stderr.write(f"\nfinishing the sentences in flight{end}\n")


@contextmanager
def _handlers(numbers: list[int], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals in the block, but not those that are ignored, as under nohup; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    previous_handlers = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


@contextmanager
def _watched_signals() -> Iterator[None]:
    """Have a thread see the signals in the block, because the main thread may be busy outside of Python."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    previous_descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=[receiver], name="entsemble-signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_descriptor)
        sender.close()  # ends the thread


def _watch(receiver: socket.socket) -> None:
    """Start the deadline that a signal sets; each byte is the number of one."""
    interrupt_count = 0
    with receiver:
        while numbers := receiver.recv(1):
            (number,) = numbers
            handler = signal.getsignal(number)
            is_graceful = isinstance(handler, _GracefulStop)
            if not is_graceful and handler not in (_terminate, signal.default_int_handler):
                if _seconds_of_servers and callable(handler):  # not counted: it repeats the signal after its shutdown
                    start_deadline(128 + number, _seconds_of_servers[-1])
                continue
            interrupt_count += number == signal.SIGINT
            if not is_graceful:
                _end_at_once(128 + number) if interrupt_count > 1 else start_deadline(128 + number)
            elif interrupt_count > 1:
                _end_at_once(128 + number)
            elif number == signal.SIGTERM:
                start_deadline(128 + number)


def _terminate(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # it is on its way
    start_deadline(128 + number)
    raise TerminatedError(number)


def _end_at_once(exit_code: int) -> None:
    _ending.acquire()  # for good: several deadlines may pass at the same time
    abandon_replacements()
    with suppress(OSError):
        os.write(2, b"\nentsemble: stopped\n")
    os._exit(exit_code)
