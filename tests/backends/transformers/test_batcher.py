"""Requests of several threads in one batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from entsemble.backends.transformers.batcher import AdapterWeights, Batcher, Request, StepInput, StepOutput

BROKEN = (("broken", 1.0),)


class LengthModel:
    """A step function whose logits are the number of tokens; `batch_sizes` records the inputs of each step."""

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []
        self.concurrent_steps = 0

    def __call__(self, inputs: Sequence[StepInput]) -> list[tuple[int, StepOutput]]:
        self.concurrent_steps += 1
        assert self.concurrent_steps == 1, "two steps at once"
        try:
            if any(step_input.adapter_weights == BROKEN for step_input in inputs):
                raise ValueError("out of order")
            self.batch_sizes.append(len(inputs))
            return [(index, StepOutput(len(each.token_ids), 0, 0.0)) for index, each in enumerate(inputs)]
        finally:
            self.concurrent_steps -= 1


def count_tokens(start: int, steps: int, adapter_weights: AdapterWeights = ()) -> Request[list[int]]:
    """A request that begins with `start` tokens and collects the logits of some steps."""
    lengths, token_ids = [], [0] * start
    for _ in range(steps):
        output = yield StepInput(adapter_weights, list(token_ids))
        lengths.append(output.logits)
        token_ids.append(0)
    return lengths


def test_requests_of_one_call_share_steps() -> None:
    model = LengthModel()
    answers = Batcher(model).run([count_tokens(1, 3), count_tokens(5, 1), count_tokens(9, 2)])
    assert answers == [[1, 2, 3], [5], [9, 10]]
    assert model.batch_sizes == [3, 2, 1]


def test_a_request_without_steps_is_answered_at_once() -> None:
    model = LengthModel()
    assert Batcher(model).run([count_tokens(1, 0)]) == [[]]
    assert Batcher(model).run([]) == []
    assert model.batch_sizes == []


def test_each_of_many_threads_gets_its_own_answer() -> None:
    batcher = Batcher(LengthModel())
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda i: batcher.run([count_tokens(i, 1 + i % 7)])[0], range(400)))
    assert answers == [list(range(i, i + 1 + i % 7)) for i in range(400)]


def test_a_request_that_arrives_during_a_step_is_in_the_next_one() -> None:
    polling, model = threading.Event(), LengthModel()
    answers: list[Any] = []
    batcher = Batcher(model)

    def first_request() -> Request[str]:
        yield StepInput((), [0])
        thread.start()
        while batcher.pending_count < 2:
            polling.wait(0.01)
        yield StepInput((), [0, 0])
        return "done"

    thread = threading.Thread(target=lambda: answers.append(batcher.run([count_tokens(3, 4)])))
    assert batcher.run([first_request()]) == ["done"]
    thread.join(300)
    assert answers == [[[3, 4, 5, 6]]]
    assert model.batch_sizes == [1, 2, 1, 1, 1]


def test_an_error_in_a_request_is_raised_to_its_caller_alone() -> None:
    def failing_request() -> Request[str]:
        yield StepInput((), [0])
        raise KeyError("mine")

    batcher = Batcher(LengthModel())
    with pytest.raises(KeyError, match="mine"):
        batcher.run([count_tokens(1, 3), failing_request()])
    assert batcher.run([count_tokens(1, 1)]) == [[1]]


def test_an_error_in_a_step_fails_its_requests_but_not_later_ones() -> None:
    batcher = Batcher(LengthModel())
    with pytest.raises(ValueError, match="out of order"):
        batcher.run([count_tokens(1, 3), count_tokens(1, 2, BROKEN)])
    assert batcher.run([count_tokens(1, 1)]) == [[1]]


def test_a_caller_that_is_interrupted_while_it_waits_leaves_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LengthModel()
    batcher = Batcher(model)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batcher._state_changed, "wait_for", interrupt)
        with pytest.raises(KeyboardInterrupt):
            batcher.run([count_tokens(1, 5)])
    assert batcher.run([count_tokens(3, 2)]) == [[3, 4]]
    assert model.batch_sizes == [1, 1]


def test_an_interrupt_during_a_step_reaches_the_caller() -> None:
    def interrupt(inputs: Sequence[StepInput]) -> list[tuple[int, StepOutput]]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Batcher(interrupt).run([count_tokens(1, 1)])
