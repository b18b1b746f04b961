"""Leader-follower batching: many threads share the forward passes of one model.

A request is a generator: it yields the tokens that it continues from, is sent the model's output for the next token,
and returns its answer. The first caller that would have to wait becomes the leader: it steps the model for all pending
requests until its own are answered, then hands over to another waiting caller. So there is no worker thread to stop,
and no request waits for a batch to fill up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")

AdapterWeights = tuple[tuple[str, float], ...]
"""Adapters and their weights; empty for the model as it is."""


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a request continues from.

    Attributes:
        adapter_weights: the sum of adapters that the model is run with.
        token_ids: all tokens so far, those of earlier steps included.
    """

    adapter_weights: AdapterWeights
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a request is sent.

    Attributes:
        logits: of the next token [vocabulary].
        cached_tokens: tokens of the input whose keys and values were cached.
        seconds: the request's share of the time that the step took.
    """

    logits: Any
    cached_tokens: int
    seconds: float


Request = Generator[StepInput, StepOutput, Answer]

StepFunction = Callable[[Sequence[StepInput]], Sequence[tuple[int, StepOutput]]]
"""Serves at least one of the inputs: pairs of an input's index and its output."""


class _PendingRequest(Generic[Answer]):
    """A request, its next input, and in the end its answer or error."""

    def __init__(self, request: Request[Answer]) -> None:
        self._request = request
        self.is_done = False
        self.answer: Answer
        self.error: BaseException | None = None
        self.next_input = self._advance(lambda: next(request))

    def send(self, output: StepOutput) -> None:
        self.next_input = self._advance(lambda: self._request.send(output))

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.is_done = True

    def _advance(self, resume: Callable[[], StepInput]) -> StepInput | None:
        try:
            return resume()
        except StopIteration as stop:
            self.answer = stop.value
            self.is_done = True
        except Exception as error:
            self.fail(error)
        return None


class Batcher:
    """Runs the requests of all threads together.

    Args:
        step: serves some of the pending requests; its errors are raised in all of them.
    """

    def __init__(self, step: StepFunction) -> None:
        self._step = step
        self._pending: list[_PendingRequest[Any]] = []
        self._state_changed = threading.Condition()
        self._has_leader = False

    @property
    def pending_count(self) -> int:
        """Requests without an answer, of all threads."""
        return len(self._pending)

    def run(self, requests: Sequence[Request[Answer]]) -> list[Answer]:
        """The answers, in the order of the requests; raises the first error of any of them."""
        submitted = [_PendingRequest(request) for request in requests]
        with self._state_changed:
            self._pending += [request for request in submitted if not request.is_done]
        try:
            while not all(request.is_done for request in submitted):
                self._follow_or_lead(submitted)
        finally:
            with self._state_changed:  # a caller that is interrupted while it waits leaves no work behind
                self._pending = [request for request in self._pending if request not in submitted]
        for request in submitted:
            if request.error is not None:
                raise request.error
        return [request.answer for request in submitted]

    def _follow_or_lead(self, submitted: Sequence[_PendingRequest[Answer]]) -> None:
        """Wait until these are done or there is no leader; in the latter case lead until they are done."""
        with self._state_changed:
            self._state_changed.wait_for(lambda: not self._has_leader or all(request.is_done for request in submitted))
            if all(request.is_done for request in submitted):
                return
            self._has_leader = True
        try:
            while not all(request.is_done for request in submitted):
                self._run_step()
        finally:
            with self._state_changed:
                self._has_leader = False
                self._state_changed.notify_all()

    def _run_step(self) -> None:
        """One step for some of the requests that are pending now."""
        with self._state_changed:
            pending = list(self._pending)
        try:
            inputs = [request.next_input for request in pending if request.next_input is not None]
            for index, output in self._step(inputs):
                pending[index].send(output)
        except BaseException as error:
            for request in pending:
                request.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            with self._state_changed:
                if any(request.is_done for request in pending):
                    self._pending = [request for request in self._pending if not request.is_done]
                    self._state_changed.notify_all()
