"""One model, many threads: each step of the model serves whoever waits for it.

A request is a generator: it yields the tokens that it wants to go on from, is sent what the model says of the next
one, and returns its answer. Whoever asks while nobody works does the work, for all who wait, until its own request is
answered; then another that waits takes over. So there is no thread to stop, and no request waits for a batch to fill.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


Sum = tuple[tuple[str, float], ...]
"""Adapters and their weights; none for the model as it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request goes on from.

    Attributes:
        adapters: under which the tokens are read.
        ids: all tokens, those read before included.
    """

    adapters: Sum
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Told:
    """What a request is sent.

    Attributes:
        logits: of the token that follows [vocabulary].
        cached: tokens that were known already.
        seconds: its share of the step.
    """

    logits: Any
    cached: int
    seconds: float


Request = Generator[Wanted, Told, Answer]
Step = Callable[[Sequence[Wanted]], Sequence[tuple[int, Told]]]
"""Serves some of those that wait, at least one: their places, and what they are told."""


class _Job(Generic[Answer]):
    """A request on its way."""

    def __init__(self, request: Request[Answer]) -> None:
        self._request = request
        self.done = False
        self.answer: Answer
        self.error: BaseException | None = None
        self.wanted = self._moved(lambda: next(request))

    def tell(self, told: Told) -> None:
        self.wanted = self._moved(lambda: self._request.send(told))

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done = True

    def _moved(self, move: Callable[[], Wanted]) -> Wanted | None:
        try:
            return move()
        except StopIteration as end:
            self.answer = end.value
            self.done = True
        except Exception as error:
            self.fail(error)
        return None


class Batch:
    """The requests that are on their way.

    Args:
        step: serves some of them; its errors are raised to all of them.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._jobs: list[_Job[Any]] = []
        self._changed = threading.Condition()
        self._working = False

    def answer(self, requests: Sequence[Request[Answer]]) -> list[Answer]:
        """The answers of requests; the first error of any is raised."""
        jobs = [_Job(request) for request in requests]
        with self._changed:
            self._jobs += [job for job in jobs if not job.done]
        try:
            while not all(job.done for job in jobs):
                self._wait_or_work(jobs)
        finally:
            with self._changed:  # who is interrupted while waiting leaves no work behind
                self._jobs = [job for job in self._jobs if job not in jobs]
        for job in jobs:
            if job.error is not None:
                raise job.error
        return [job.answer for job in jobs]

    def _wait_or_work(self, jobs: Sequence[_Job[Answer]]) -> None:
        """Wait until these are done or nobody works; then work until they are done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._working or all(job.done for job in jobs))
            if all(job.done for job in jobs):
                return
            self._working = True
        try:
            while not all(job.done for job in jobs):
                self._work()
        finally:
            with self._changed:
                self._working = False
                self._changed.notify_all()

    def _work(self) -> None:
        """One step for those that wait now."""
        with self._changed:
            jobs = list(self._jobs)
        try:
            for place, told in self._step([job.wanted for job in jobs if job.wanted is not None]):
                jobs[place].tell(told)
        except BaseException as error:
            for job in jobs:
                job.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            with self._changed:
                if any(job.done for job in jobs):
                    self._jobs = [job for job in self._jobs if not job.done]
                    self._changed.notify_all()
