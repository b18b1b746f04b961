"""Ten times the input costs about ten times as much, not a hundred times: `benchmarks/growth` has larger sizes."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from benchmarks.growth.inputs import gold_and_predicted
from benchmarks.growth.pool import time_steps

from entsemble.evaluation.error_analysis import count_confusions
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.render.tally import MAX_ERRORS, PageTally
from entsemble.evaluation.report import build_report, count_document
from entsemble.prompting.labels import label_set
from entsemble.types import Document, Mention

Prepared = TypeVar("Prepared")

_MAX_RATIO = 35
"""Of the costs of inputs of which one is ten times as large: 10 if the cost is linear, 100 if it is quadratic."""


def assert_linear(prepare: Callable[[int], Prepared], run: Callable[[Prepared], object], size: int) -> None:
    """Compare the time of an input with that of one ten times as large."""
    small, large = prepare(size), prepare(10 * size)
    shortest = min(processor_seconds(run, small) for _ in range(3))
    assert processor_seconds(run, large) < _MAX_RATIO * shortest + 0.5


def processor_seconds(run: Callable[[Prepared], object], prepared: Prepared) -> float:
    started = time.process_time()
    run(prepared)
    return time.process_time() - started


def mentions(count: int, label: str) -> list[Mention]:
    return [Mention(3 * index, 3 * index + 2, label.format(index), "ab") for index in range(count)]


def test_a_report_is_linear_in_its_documents_and_labels() -> None:
    def prepare(size: int) -> tuple[list[Document], list[Document]]:
        gold, predicted = zip(*gold_and_predicted(size, label_count=size), strict=True)
        return list(gold), list(predicted)

    def build_page(documents: tuple[list[Document], list[Document]]) -> None:
        tally = PageTally()
        render_html(build_report(*documents, on_pair=tally.add), tally)

    assert_linear(prepare, build_page, 100)


class TrackedDocument(Document):
    __slots__ = ("__weakref__",)


def test_documents_that_are_counted_are_not_held_but_those_of_errors_that_are_shown() -> None:
    alive: weakref.WeakSet[Document] = weakref.WeakSet()

    def read(side: int) -> Iterator[Document]:
        for pair in gold_and_predicted(500):
            document = TrackedDocument(pair[side].id, pair[side].text, pair[side].mentions)
            alive.add(document)
            assert len(alive) <= max_alive
            yield document

    max_alive = 6
    assert len(build_report(read(0), read(1)).document_counts) == 500
    max_alive += 2 * MAX_ERRORS
    tally = PageTally()
    build_report(read(0), read(1), on_pair=tally.add)
    assert tally.error_count > max_alive


@pytest.mark.parametrize("count", [count_document, count_confusions])
@pytest.mark.parametrize("label", ["B", "B{}"])
def test_counts_of_a_document_are_linear_in_its_mentions(count: Callable[..., object], label: str) -> None:
    def prepare(size: int) -> tuple[list[Mention], list[Mention]]:
        return mentions(size, "A"), mentions(size, label)

    assert_linear(prepare, lambda sides: count(*sides), 1000)


def test_a_mention_as_long_as_the_document_does_not_slow_the_others() -> None:
    def prepare(size: int) -> tuple[list[Mention], list[Mention]]:
        whole = Mention(0, 3 * size, "A", "ab" * size)
        return [whole, *mentions(size, "A")], [whole, *mentions(size, "B")]

    assert_linear(prepare, lambda sides: count_document(*sides), 1000)


def test_a_label_set_is_linear_in_its_labels() -> None:
    assert_linear(lambda size: {f"label {number}": "" for number in range(size)}, label_set, 1000)


def test_a_pool_is_linear_in_its_sentences(tmp_path: Path) -> None:
    assert_linear(lambda size: size, lambda size: time_steps(size, tmp_path / str(size)), 50)
