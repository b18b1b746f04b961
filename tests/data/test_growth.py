"""Costs that grow with the input, not with its square."""

from __future__ import annotations

import io
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import pytest

from entsemble.data.formats import read, write
from entsemble.data.html import write as write_html
from entsemble.errors import DataError
from entsemble.types import Document, Span, mention_at

pytestmark = pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # of what a format does not store

_SMALL, _LARGE = 1_000, 10_000
_MAX_GROWTH = 35
"""Ten times as much may take so many times as long: 100 would be a square, and the first measurement is inexact."""


def disjoint(size: int, with_tokens: bool = True) -> Document:
    text = "Ada sang. " * size
    mentions = tuple(mention_at(text, 10 * index, 10 * index + 3, f"L{index % 7}") for index in range(size))
    spans = [(10 * index + first, 10 * index + end) for index in range(size) for first, end in ((0, 3), (4, 8), (8, 9))]
    return Document("d", text, mentions, tuple(Span(*span) for span in spans) if with_tokens else ())


def crossing(size: int) -> Document:
    text = "ab " * (size + 2)
    mentions = tuple(mention_at(text, 3 * index, 3 * index + 5, "L") for index in range(size))
    return Document("d", text, mentions, tuple(Span(3 * index, 3 * index + 2) for index in range(size + 2)))


def all_overlapping(size: int) -> Document:
    text = "a" * (2 * size)
    return Document("d", text, tuple(mention_at(text, index, size + index, "L") for index in range(size)))


def seconds(action: Callable[[], object]) -> float:
    """Processor time of this thread, without garbage collection: threads and objects of other tests do not count."""
    return min(timeit.repeat(action, timer=time.thread_time, repeat=2, number=1))


def check_growth(action: Callable[[int], object]) -> None:
    small, large = seconds(lambda: action(_SMALL)), seconds(lambda: action(_LARGE))
    assert large < _MAX_GROWTH * max(small, 0.002), f"{small:.3f} s -> {large:.3f} s"


@pytest.mark.parametrize(
    "format_name", ["conll", "jsonl", "label-studio", "prodigy", "doccano", "brat", "spacy", "html", "bioc", "pubtator"]
)
@pytest.mark.parametrize("make_document", [disjoint, crossing])
def test_writing_and_reading_are_linear(
    tmp_path: Path, format_name: str, make_document: Callable[[int], Document]
) -> None:
    if format_name == "spacy":
        pytest.importorskip("spacy")
    documents = {size: make_document(size) for size in (_SMALL, _LARGE)}
    numbers = iter(range(100))

    def write_and_read(size: int) -> None:
        path = tmp_path / f"{next(numbers)}"
        write([documents[size]], path, format_name)
        if format_name != "html":
            assert sum(len(document.mentions) for document in read(path, format_name)) == size

    check_growth(write_and_read)


def test_text_without_tokens_is_written_as_conll_in_linear_time(tmp_path: Path) -> None:
    documents = {size: disjoint(size, with_tokens=False) for size in (_SMALL, _LARGE)}
    check_growth(lambda size: write([documents[size]], tmp_path / "a.conll"))


def test_a_line_of_many_columns_is_read_in_linear_time(tmp_path: Path) -> None:
    for size in (_SMALL, _LARGE):
        (tmp_path / f"{size}.conll").write_text("Ada" + "\tB-P" * size + "\nsang" + "\tO" * size + "\n")
    check_growth(lambda size: list(read(tmp_path / f"{size}.conll")))


def test_mentions_that_all_overlap() -> None:
    documents = {size: all_overlapping(size) for size in (_SMALL, _LARGE)}

    def write_page(size: int) -> None:
        page = io.StringIO()
        write_html([documents[size]], page)
        assert page.getvalue().count("<small>") >= size

    check_growth(write_page)


def test_conll_refuses_more_levels_than_it_can_hold(tmp_path: Path) -> None:
    write([all_overlapping(100)], tmp_path / "a.conll")
    assert sum(len(document.mentions) for document in read(tmp_path / "a.conll")) == 100
    with pytest.raises(DataError, match="document 'd': more than 100 mentions overlap"):
        write([all_overlapping(_LARGE)], tmp_path / "a.conll")
