"""Standard output and standard error whose reader is gone, or whose disk is full."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from entsemble.cli.interrupt import start_deadline
from entsemble.errors import EntsembleError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_READER_GONE_EXIT_CODE = 141
"""That of a process which SIGPIPE ends: 128 + 13."""


class StandardOutputError(EntsembleError):
    """Standard output cannot be written."""

    exit_code = 74  # EX_IOERR of sysexits.h


class ReaderGoneError(StandardOutputError):
    """Nobody reads standard output any more, as in `entsemble extract ... | head`: not an error to report."""

    exit_code = _READER_GONE_EXIT_CODE


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Make failures of standard output an error of ours in the block, and ignore those of standard error.

    After the first failure, everything else that is written is dropped, and the work in flight has a few seconds to
    end. Streams that are not those of the process, as in tests and notebooks, are left as they are.
    """
    output, messages = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guarded(output, _StandardOutput), _guarded(messages, _StandardError)
    try:
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        sys.stdout, sys.stderr = output, messages


def flush_standard_output() -> None:
    """Write what is still buffered.

    Raises:
        StandardOutputError: it cannot be written.
    """
    if sys.stdout is not None:  # closed by the shell
        sys.stdout.flush()


class _StandardOutput(io.FileIO):
    """Standard output, whose errors are ours."""

    _has_failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, or drop them after a failure."""
        size = memoryview(data).nbytes
        if self._has_failed or not size:  # click writes nothing to see whether it could
            return size
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self._has_failed = True
            start_deadline(ReaderGoneError.exit_code)
            raise ReaderGoneError("the reader of standard output is gone") from error
        except OSError as error:
            self._has_failed = True
            start_deadline(StandardOutputError.exit_code)
            advice = "free some space, or write to another disk"
            raise StandardOutputError(f"standard output cannot be written: {error.strerror}; {advice}") from error


class _StandardError(io.FileIO):
    """Standard error, whose errors cannot be reported."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, or drop them."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _guarded(stream: TextIO, guard: type[io.FileIO]) -> TextIO:
    """The stream with another way to its file, if it has one."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    is_unbuffered = isinstance(stream.buffer, io.FileIO)  # as with PYTHONUNBUFFERED
    if not is_unbuffered and not isinstance(getattr(stream.buffer, "raw", None), io.FileIO):
        return stream
    stream.flush()
    file = guard(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if is_unbuffered else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
