"""Work that can be abandoned between two calls of a model, or between two items of a long loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

CancelCheck = Callable[[], bool]
"""Whether the work is to be abandoned."""


class WorkCancelledError(Exception):
    """The work was abandoned. It is no `EntsembleError`, so that nothing takes it for a document's failure."""


def _never() -> bool:
    return False


_cancel_check: ContextVar[CancelCheck] = ContextVar("entsemble_cancel_check", default=_never)


@contextmanager
def cancellable(is_cancelled: CancelCheck) -> Iterator[None]:
    """In this block, and in the threads that a mapper starts for it, calls of models check `is_cancelled` first."""
    token = _cancel_check.set(is_cancelled)
    try:
        yield
    finally:
        _cancel_check.reset(token)


def current_cancel_check() -> CancelCheck:
    """The check of the innermost `cancellable` block, for another thread that works for it."""
    return _cancel_check.get()


def use_cancel_check(is_cancelled: CancelCheck) -> None:
    """Use the check of another thread in this one, until the thread ends."""
    _cancel_check.set(is_cancelled)


def check_cancelled() -> None:
    """Check that the work is still wanted.

    Raises:
        WorkCancelledError: it is not.
    """
    if _cancel_check.get()():
        raise WorkCancelledError


def until_cancelled(items: Iterable[Item]) -> Iterator[Item]:
    """The items, as long as the work is wanted: for loops that may be long.

    Raises:
        WorkCancelledError: it is not wanted any more.
    """
    is_cancelled = _cancel_check.get()
    for item in items:
        if is_cancelled():
            raise WorkCancelledError
        yield item
