"""A function over inputs on threads: order, bounds, errors, stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.protocols import Mapper


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_whichever_is_ready_first(workers: int) -> None:
    mapper: Mapper = LocalMapper(workers)

    def slow(i: int) -> int:
        time.sleep(0.01 if i % 3 == 0 else 0)
        return i * i

    assert list(mapper.map(slow, range(20))) == [i * i for i in range(20)]
    assert list(mapper.map(slow, [])) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_inputs_are_not_read_far_ahead(workers: int) -> None:
    numbers_read = 0

    def endless() -> Iterator[int]:
        nonlocal numbers_read
        while True:
            numbers_read += 1
            yield numbers_read

    results = LocalMapper(workers).map(lambda i: i, endless())
    assert [next(results) for _ in range(10)] == list(range(1, 11))
    assert numbers_read <= 10 + 2 * workers
    results.close()  # type: ignore[attr-defined]


def test_workers_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=300)
    assert sorted(LocalMapper(3).map(lambda i: (meeting.wait(), i)[1], range(6))) == list(range(6))


def test_an_error_ends_the_results_and_nothing_more_is_started() -> None:
    started: list[int] = []

    def work(i: int) -> int:
        started.append(i)
        if i == 3:
            raise ModelUnavailableError("gone")
        return i

    results = LocalMapper(1).map(work, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ModelUnavailableError, match="gone"):
        next(results)
    assert len(started) <= 6


def test_an_error_of_the_inputs_is_raised() -> None:
    def inputs() -> Iterator[int]:
        yield 1
        raise ModelUnavailableError("no more input")

    with pytest.raises(ModelUnavailableError, match="no more input"):
        list(LocalMapper(2).map(lambda i: i, inputs()))


def test_after_a_stop_nothing_more_is_started() -> None:
    mapper, started = LocalMapper(2), []

    def work(i: int) -> int:
        started.append(i)
        if i == 1:
            mapper.stop()
        time.sleep(0.02)
        return i

    results = list(mapper.map(work, range(100)))
    assert results == sorted(started)
    assert len(started) <= 4


def test_closing_the_results_early_leaves_no_thread() -> None:
    threads_before = set(threading.enumerate())
    results = LocalMapper(2).map(lambda i: i, range(1000))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in set(threading.enumerate()) - threads_before if thread.is_alive()]


def test_a_mapper_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LocalMapper(0)
