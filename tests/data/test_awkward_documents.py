"""Awkward documents through every format and back: text and mentions are the same, or it is said what is lost."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.data.formats import read, write
from entsemble.errors import DataError
from entsemble.types import Document, Mention, Span

LOSSLESS = ["jsonl", "json", "label-studio", "prodigy", "doccano", "parquet", "spacy", "brat"]

CHARACTERS = st.one_of(
    st.sampled_from(" \t\n\r\u2028\x1c\x85\xa0\u200b\ufeffO0eB-#'\"\\%,;😀科ا\u0301\u200d\0."),
    st.characters(blacklist_categories=["Cs"]),
)
TEXTS = st.text(CHARACTERS, min_size=1, max_size=40)
LABELS = st.one_of(st.sampled_from(["PER", "a b", "50%", "-", "B-x", "O", "%41", " a"]), TEXTS.filter(str.strip))
SCORES = st.one_of(st.none(), st.floats(0, 1))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=5,
)
META_KEYS = st.one_of(
    st.sampled_from(["id", "text", "meta", "answer", "label", "labels", "entities", "spans", "_x", "tokens", "data"]),
    TEXTS,
)


@st.composite
def awkward_documents(draw: st.DrawFn, with_meta: bool = True) -> Document:
    text = draw(TEXTS)
    mentions = []
    for start, length, label, score in draw(
        st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 20), LABELS, SCORES), max_size=6)
    ):
        end = min(len(text), start + length)
        mentions.append(Mention(start, end, label, text[start:end], score))
    meta = draw(st.dictionaries(META_KEYS, JSON_VALUES, max_size=3)) if with_meta else {}
    return Document(draw(TEXTS), text, tuple(mentions), meta=meta)


def as_stored(document: Document, format_name: str) -> Document:
    """What the format can hold of a document."""
    has_scores = format_name not in ("brat", "doccano")
    has_meta = format_name != "brat"
    mentions = tuple(
        Mention(m.start, m.end, m.label, m.text, m.score if has_scores else None) for m in document.mentions
    )
    return Document(document.id, document.text, mentions, meta=document.meta if has_meta else {})


def through(format_name: str, document: Document) -> list[Document]:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "out"
        write([document], path, format_name)
        return list(read(path, format_name))


@pytest.mark.parametrize("format_name", LOSSLESS)
@given(awkward_documents())
@settings(max_examples=50)
def test_text_mentions_and_meta_are_the_same(format_name: str, document: Document) -> None:
    pytest.importorskip({"parquet": "pyarrow", "spacy": "spacy"}.get(format_name, "json"))
    assert through(format_name, document) == [as_stored(document, format_name)]


@given(awkward_documents(with_meta=False))
@settings(max_examples=150)
def test_conll_keeps_all_but_whitespace_or_says_what_it_cannot_hold(document: Document) -> None:
    try:
        sentences = through("conll", document)
    except DataError as error:
        reasons = ("cannot store the label", "a blank", "has no sentence", "no column holds tags")
        assert any(reason in str(error) for reason in reasons)  # noqa: PT017
        return
    assert "".join("".join(s.text.split()) for s in sentences) == "".join(document.text.split())
    mentions = {(m.start, m.end, m.label) for m in document.mentions}
    written = {("".join(document.text[start:end].split()), label) for start, end, label in mentions}
    assert {("".join(m.text.split()), m.label) for s in sentences for m in s.mentions} == written


@given(awkward_documents(with_meta=False), st.lists(st.tuples(st.integers(0, 39), st.integers(1, 9)), max_size=5))
@settings(max_examples=100)
def test_conll_keeps_documents_with_tokens(document: Document, ranges: list[tuple[int, int]]) -> None:
    length = len(document.text)
    tokens = tuple(Span(start, min(length, start + size)) for start, size in ranges if start < length)
    labels = tuple(Mention(m.start, m.end, "X", m.text) for m in document.mentions if m.text.strip())
    if not document.text.strip():
        return
    sentences = through("conll", Document(document.id, document.text, labels, tokens))
    assert {("".join(m.text.split()), m.label) for s in sentences for m in s.mentions} == {
        ("".join(m.text.split()), m.label) for m in labels
    }
