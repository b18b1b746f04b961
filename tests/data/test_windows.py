from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.data.windows import (
    sentence_spans,
    sentence_splitter,
    split_document,
    split_windows,
)
from entsemble.types import Document, Span, mention_at

TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["Dr. ", "He left. ", "\r\n\r\n", "你好。", "😀! ", "\u200fשלום. ", "a" * 50, " "]), max_size=90
    ).map("".join),
)


def visible(text: str) -> str:
    return "".join(text.split())


@given(TEXTS, st.integers(1, 60))
def test_windows_cover_all_but_blanks(text: str, limit: int) -> None:
    document = Document("d", text)
    found = split_windows(document, limit)
    assert "".join(visible(w.text) for w in found) == visible(text)
    assert all(w.span.slice(text) == w.text == w.text.strip() and 0 < len(w.text) <= limit for w in found)
    assert all(a.span.end <= b.start for a, b in pairwise(found))


@given(TEXTS.filter(str.strip), st.integers(1, 60), st.data())
def test_no_mention_is_cut(text: str, limit: int, data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.integers(0, len(text) - 1), max_size=4))
    mentions = [mention_at(text, s, min(len(text), s + data.draw(st.integers(1, 90))), "X") for s in starts]
    document = Document("d", text, tuple(m for m in mentions if m.text.strip() == m.text))
    parts = split_document(document, limit)
    assert "".join(visible(part.text) for part in parts) == visible(text)
    assert sum(len(part.mentions) for part in parts) == len(document.mentions)


def test_sentences_of_several_scripts() -> None:
    text = "Dr. Smith left.\r\nWow 😀! 你好。我是。 שלום עולם. מה?"
    assert [s.slice(text) for s in sentence_spans(text)] == [
        "Dr. Smith left.",
        "Wow 😀!",
        "你好。",
        "我是。",
        "שלום עולם.",
        "מה?",
    ]


@pytest.mark.parametrize("blank", ["\u00a0", "\u202f", "\u3000", "\u2028", "\x85"])
def test_a_wide_blank_before_a_full_stop(blank: str) -> None:
    text = f"Plan B{blank}. Then he left."
    assert "".join(s.slice(text) for s in sentence_spans(text)).replace(" ", "") == text.replace(" ", "")


def test_a_tokenised_document_is_one_window() -> None:
    text = "He left. She came."
    tokens = (Span(0, 2), Span(3, 8), Span(9, 12), Span(13, 18))
    assert len(split_windows(Document("d", text, tokens=tokens))) == 1
    assert len(split_windows(Document("d", text))) == 2
    assert len(split_windows(Document("d", text, tokens=tokens), max_chars=10)) == 2
    parts = split_document(Document("d", text, tokens=tokens), max_chars=10)
    assert [[t.slice(p.text) for t in p.tokens] for p in parts] == [["He", "left."], ["She", "came."]]
    assert [p.id for p in parts] == ["d#0", "d#9"]


def test_long_sentences_are_split_at_blanks_and_not_inside_characters() -> None:
    assert {len(w.text) for w in split_windows(Document("d", "word " * 100), 24)} == {24}
    assert all(not w.text.startswith("\u0301") for w in split_windows(Document("d", "e\u0301" * 100), 7))


def test_a_blank_text_has_no_window() -> None:
    assert split_windows(Document("d", " \n\t ")) == []


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["a", "word ", "He went home. ", "你好。", "שלום עולם. "])
def test_a_million_characters_take_seconds(unit: str) -> None:
    text = (unit * 1_000_000)[:1_000_000]
    begun = time.perf_counter()
    found = split_windows(Document("d", text))
    assert time.perf_counter() - begun < 30
    assert sum(len(visible(w.text)) for w in found) == len(visible(text))


def test_a_sentence_splitter_returns_the_windows_of_a_text() -> None:
    assert sentence_splitter()("Ann Berg. Lee saw Oslo.") == ["Ann Berg.", "Lee saw Oslo."]
    assert sentence_splitter()(" ") == []
