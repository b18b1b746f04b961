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
def test_inputs_are_not_taken_in_far_ahead(workers: int) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = LocalMapper(workers).map(lambda i: i, endless())
    assert [next(results) for _ in range(10)] == list(range(1, 11))
    assert taken <= 10 + 2 * workers
    results.close()  # type: ignore[attr-defined]


def test_the_workers_work_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=300)
    assert sorted(LocalMapper(3).map(lambda i: (meeting.wait(), i)[1], range(6))) == list(range(6))


def test_an_error_ends_it_and_what_has_not_begun_is_not_begun() -> None:
    begun: list[int] = []

    def work(i: int) -> int:
        begun.append(i)
        if i == 3:
            raise ModelUnavailableError("gone")
        return i

    results = LocalMapper(1).map(work, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ModelUnavailableError, match="gone"):
        next(results)
    assert len(begun) <= 6


def test_an_error_among_the_inputs_comes_through() -> None:
    def inputs() -> Iterator[int]:
        yield 1
        raise ModelUnavailableError("no more input")

    with pytest.raises(ModelUnavailableError, match="no more input"):
        list(LocalMapper(2).map(lambda i: i, inputs()))


def test_after_a_stop_nothing_more_begins() -> None:
    mapper, begun = LocalMapper(2), []

    def work(i: int) -> int:
        begun.append(i)
        if i == 1:
            mapper.stop()
        time.sleep(0.02)
        return i

    results = list(mapper.map(work, range(100)))
    assert results == sorted(begun)
    assert len(begun) <= 4


def test_who_stops_early_leaves_no_thread_behind() -> None:
    results = LocalMapper(2).map(lambda i: i, range(1000))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("entsemble") and t.is_alive()]


def test_no_workers() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LocalMapper(0)
