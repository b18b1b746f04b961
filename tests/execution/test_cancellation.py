"""Work that nobody wants any more ends between two calls of a model."""

from __future__ import annotations

import threading

import pytest

from entsemble._lib.cancellation import WorkCancelledError, cancellable, check_cancelled
from entsemble.backends.scripted import ScriptedModel
from entsemble.execution.threads import LocalMapper
from entsemble.ner.member import Member
from entsemble.prompting.template import load_template


def test_only_work_in_the_block_is_cancelled() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(WorkCancelledError), cancellable(cancelled.is_set):
        check_cancelled()
    check_cancelled()


def test_a_mapper_starts_nothing_more_and_its_threads_know_that_they_are_cancelled() -> None:
    cancelled, started = threading.Event(), []

    def work(number: int) -> int:
        started.append(number)
        if number == 3:
            cancelled.set()
        check_cancelled()
        return number

    results: list[int] = []
    with pytest.raises(WorkCancelledError), cancellable(cancelled.is_set):
        results.extend(LocalMapper(1).map(work, range(1000)))
    assert results == [0, 1, 2][: len(results)]
    assert len(started) < 10


def test_a_member_is_not_asked_when_its_answer_is_not_wanted() -> None:
    member = Member("m", ScriptedModel("m", {}), load_template("ner-1"), load_template("zero-shot-1"))
    with pytest.raises(WorkCancelledError), cancellable(lambda: True), member.attribute_errors():
        pytest.fail("asked")


def test_results_that_are_missing_because_of_a_cancellation_are_an_error_and_not_an_end() -> None:
    cancelled = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            cancelled.set()  # and looks no more, as in a long call of a model
        return number

    with pytest.raises(WorkCancelledError), cancellable(cancelled.is_set):
        list(LocalMapper(1).map(work, range(100)))
    cancelled.clear()
    with cancellable(cancelled.is_set):
        assert list(LocalMapper(1).map(work, range(1))) == [0], "nothing is missing"
