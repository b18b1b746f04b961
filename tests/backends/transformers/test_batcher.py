"""Requests of several threads in one batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from entsemble.backends.transformers.batcher import Batch, Request, Sum, Told, Wanted

BROKEN = (("broken", 1.0),)


class Counting:
    """Says of each sequence how long it is; `together` is how many were served in each step."""

    def __init__(self) -> None:
        self.together: list[int] = []
        self.inside = 0

    def __call__(self, wanted: Sequence[Wanted]) -> list[tuple[int, Told]]:
        self.inside += 1
        assert self.inside == 1, "two steps at once"
        if any(w.adapters == BROKEN for w in wanted):
            self.inside -= 1
            raise ValueError("out of order")
        self.together.append(len(wanted))
        told = [(i, Told(len(w.ids), 0, 0.0)) for i, w in enumerate(wanted)]
        self.inside -= 1
        return told


def counted(start: int, steps: int, adapters: Sum = ()) -> Request[list[int]]:
    seen, ids = [], [0] * start
    for _ in range(steps):
        told = yield Wanted(adapters, list(ids))
        seen.append(told.logits)
        ids.append(0)
    return seen


def test_requests_of_one_call_go_together() -> None:
    step = Counting()
    assert Batch(step).answer([counted(1, 3), counted(5, 1), counted(9, 2)]) == [[1, 2, 3], [5], [9, 10]]
    assert step.together == [3, 2, 1]


def test_who_wants_nothing_is_answered_at_once() -> None:
    step = Counting()
    assert Batch(step).answer([counted(1, 0)]) == [[]]
    assert Batch(step).answer([]) == []
    assert step.together == []


def test_threads_share_steps_and_each_gets_its_own_answer() -> None:
    step = Counting()
    batch = Batch(step)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda i: batch.answer([counted(i, 1 + i % 7)])[0], range(400)))
    assert found == [list(range(i, i + 1 + i % 7)) for i in range(400)]


def test_who_arrives_during_a_step_is_in_the_next() -> None:
    arrived, step = threading.Event(), Counting()
    later: list[Any] = []
    batch = Batch(step)

    def first() -> Request[str]:
        yield Wanted((), [0])
        thread.start()
        while len(batch._jobs) < 2:
            arrived.wait(0.01)
        yield Wanted((), [0, 0])
        return "done"

    thread = threading.Thread(target=lambda: later.append(batch.answer([counted(3, 4)])))
    assert batch.answer([first()]) == ["done"]
    thread.join(300)
    assert later == [[[3, 4, 5, 6]]]
    assert step.together == [1, 2, 1, 1, 1]


def test_an_error_in_a_request_is_its_own() -> None:
    def wrong() -> Request[str]:
        yield Wanted((), [0])
        raise KeyError("mine")

    batch = Batch(Counting())
    with pytest.raises(KeyError, match="mine"):
        batch.answer([counted(1, 3), wrong()])
    assert batch.answer([counted(1, 1)]) == [[1]]


def test_an_error_in_a_step_reaches_all_and_ends_nothing_for_good() -> None:
    batch = Batch(Counting())
    with pytest.raises(ValueError, match="out of order"):
        batch.answer([counted(1, 3), counted(1, 2, BROKEN)])
    assert batch.answer([counted(1, 1)]) == [[1]]


def test_who_is_interrupted_while_waiting_leaves_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Counting()
    batch = Batch(step)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            batch.answer([counted(1, 5)])
    assert batch.answer([counted(3, 2)]) == [[3, 4]]
    assert step.together == [1, 1]


def test_an_interrupt_leaves_nobody_waiting() -> None:
    def interrupted(wanted: Sequence[Wanted]) -> list[tuple[int, Told]]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Batch(interrupted).answer([counted(1, 1)])
