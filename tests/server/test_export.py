"""An export that nobody waits for ends soon, even within one large document."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from entsemble._lib.cancellation import WorkCancelledError, cancellable
from entsemble.data.formats import write
from entsemble.types import Document, mention_at

_WORD_COUNT = 50_000
_SLOW_FORMATS = ["conll", "spacy"]
"""The others write the largest document that a server accepts in half a second."""


def large_document() -> Document:
    text = "ab. " * _WORD_COUNT
    mentions = (mention_at(text, 40 * index, 40 * index + 300, f"x{index % 50}") for index in range(_WORD_COUNT // 12))
    return Document("large", text, tuple(mentions))


@pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # of what the format does not store
@pytest.mark.parametrize("export_format", _SLOW_FORMATS)
def test_a_large_document_is_abandoned_within_a_fraction_of_its_time(export_format: str, tmp_path: Path) -> None:
    """Seconds of this thread, which do not depend on other work on the machine."""
    if export_format == "spacy":
        pytest.importorskip("spacy")
    document = large_document()
    write([Document("small", "a b")], tmp_path / "small", export_format)  # imports what the format needs
    checks = [time.thread_time()]

    def note_check() -> bool:
        checks.append(time.thread_time())
        return False

    with cancellable(note_check):
        write([document], tmp_path / "whole", export_format)
    checks.append(time.thread_time())
    longest = max(later - earlier for earlier, later in pairwise(checks))
    assert longest < 1  # the largest document that a server accepts is five times as large, and may take ten seconds


@pytest.mark.parametrize("export_format", _SLOW_FORMATS)
def test_an_abandoned_document_leaves_no_file(export_format: str, tmp_path: Path) -> None:
    if export_format == "spacy":
        pytest.importorskip("spacy")
    answers = iter([False] * 100)
    with cancellable(lambda: next(answers, True)), pytest.raises(WorkCancelledError):
        write([large_document()], tmp_path / "whole", export_format)
    assert list(tmp_path.iterdir()) == []
