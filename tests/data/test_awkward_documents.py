"""Awkward documents through every format and back: text and mentions are the same, or a warning says what is lost."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entsemble.data.format_table import READABLE, WRITABLE
from entsemble.data.formats import read, write
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document, Mention, Span

PACKAGES = {"parquet": "pyarrow", "spacy": "spacy"}
LOSSLESS = ["jsonl", "json", "label-studio", "prodigy", "doccano", "parquet", "spacy", "brat", "bioc-json"]
ROUND_TRIPS = [*LOSSLESS, "conll", "bioc", "pubtator"]
"""Formats that hold annotated documents."""

RESULTS = {"csv": "out.csv", "tsv": "out.tsv", "names-csv": "out.csv", "names-tsv": "out.tsv", "html": "out.html"}
"""Formats for people -> a file's name; they do not hold the texts as they are, so what was written is refused."""

CONTROL_CHARACTERS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f]")
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


def through_with_warnings(format_name: str, documents: list[Document]) -> tuple[list[Document], list[str]]:
    """What is read back, and the warnings of the writer."""
    with TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = Path(folder) / "out"
        write(documents, path, format_name)
        messages = [str(warning.message) for warning in caught if warning.category is EntsembleWarning]
        return list(read(path, format_name)), messages


def essentials(document: Document) -> tuple[str, set[tuple[int, int, str, float | None]]]:
    return document.text, {(m.start, m.end, m.label, m.score) for m in document.mentions}


@pytest.mark.parametrize("format_name", ROUND_TRIPS)
@given(awkward_documents())
@settings(max_examples=25)
def test_no_format_changes_text_or_mentions_without_a_word(format_name: str, document: Document) -> None:
    pytest.importorskip(PACKAGES.get(format_name, "json"))
    try:
        back, messages = through_with_warnings(format_name, [document])
    except DataError:
        return  # refused, and nothing is written
    assert [essentials(other) for other in back] == [essentials(document)] or messages


AWKWARD_TEXTS = [
    "",
    " ",
    "\n",
    "\r\n\r\n",
    "\t",
    "\ufeff",
    "\0",
    "a",
    ".",
    "O",
    "O O\nO O",
    "B-PER",
    "-DOCSTART-",
    "# Ada left",
    "Ada  met   Bob",
    " Ada ",
    "Ada\u00a0met\u202fBob",
    "Ada\r\nmet\r\n\r\nBob\r",
    "one\rtwo\rthree",
    "a\tb\tc\nd\te\tf",
    "line\u2028separator\u2029and\x85next\x0bline\x0c",
    "nul\0and\x01\x1b[31mred\x7f",
    "zero\u200bwidth\u200d\u2060joiner\u00ad",
    "😀 met 👩‍👩‍👧‍👦 in 🇩🇪 at 9️⃣",
    "e\u0301cole Zoe\u0308 Å\u030a",
    "שלום עולם, Bob",
    "محمد ذهب إلى القاهرة",
    "\u202eevil\u202c text",
    "东京都在日本。他去了北京",
    "科0 科1 学0 家0 人1 们2",
    "ไปกรุงเทพฯ กับสมชาย",
    "हिन्दी में राम",
    "Straße İstanbul ıŞIK ǅ ﬁn",
    "x" * 20_000,
    "Ada " * 3_000,
    '{"text": "Ada", "label": [[0, 3, "P"]]}',
    '<doc id="1">Ada &amp; Bob</doc>',
    "He said: \"Ada\", 'Bob' and «Eve»",
    "T1\tPER 0 3\tAda",
    "Ada's e-mail: a.b@c.org; https://x.y/z?q=1#f, 3.15 p.m., U.S., B-52s",
]
AWKWARD_LABELS = [
    "PER",
    "musical artist",
    "a|b|c",
    "größe/ähnlich",
    "50%",
    "%41",
    "B-x",
    "名前",
    "O",
    "label: x; y, z",
    "None",
]


def with_many_mentions(number: int, text: str) -> Document:
    """A text with mentions at its edges, and nested, crossing and equal ones."""
    length = len(text)
    ranges = {(0, length), (0, 1), (length - 1, length), (length // 3, 2 * length // 3), (length // 2, length)}
    ranges |= {(start, min(start + 4, length)) for start in range(0, min(length, 60), 3)}
    valid = [(start, end) for start, end in sorted(ranges) if 0 <= start < end <= length and text[start:end].strip()]
    labels = [AWKWARD_LABELS[(number + position) % len(AWKWARD_LABELS)] for position in range(len(valid))]
    mentions = [Mention(*span, label, text[slice(*span)]) for span, label in zip(valid, labels, strict=True)]
    mentions += [Mention(*span, "second", text[slice(*span)]) for span in valid[:1]]
    return Document(f"d{number}", text, tuple(mentions))


def test_there_are_forty_awkward_texts() -> None:
    assert len(set(AWKWARD_TEXTS)) == 40


@pytest.mark.parametrize("format_name", ROUND_TRIPS)
def test_awkward_texts_are_the_same_in_every_format_or_a_warning_counts_them(format_name: str) -> None:
    pytest.importorskip(PACKAGES.get(format_name, "json"))
    documents = [with_many_mentions(number, text) for number, text in enumerate(AWKWARD_TEXTS)]
    if format_name == "bioc":
        with pytest.raises(DataError, match="'d6' has the character U\\+0000, which XML cannot hold; remove it"):
            through_with_warnings(format_name, documents)
        documents = [document for document in documents if not CONTROL_CHARACTERS.search(document.text)]
    back, messages = through_with_warnings(format_name, documents)
    originals = {document.id: essentials(document) for document in documents}
    changed = [document.id for document in back if essentials(document) != originals[document.id]]
    assert len(back) == len(documents)
    if format_name == "conll":
        assert messages == [
            f"{len(changed)} of 40 documents are not quite the same when read back, because CoNLL does not store the "
            "whitespace between words"
        ]
        return
    if format_name == "pubtator":
        counted = (
            f"{len(changed)} texts are not quite the same when read back, because PubTator stores one line end only"
        )
        assert messages == [counted]
        return
    assert changed == []


def test_every_format_that_is_read_and_written_makes_a_round_trip_or_is_refused() -> None:
    both = {name for name in READABLE if name in WRITABLE}
    assert both - {*ROUND_TRIPS} - {*RESULTS} == {"text"}


@pytest.mark.parametrize("format_name", RESULTS)
def test_what_is_written_for_people_is_not_read_as_documents(format_name: str, tmp_path: Path) -> None:
    if format_name == "html":
        pytest.importorskip("resiliparse")
    for number, text in enumerate(AWKWARD_TEXTS):
        file = tmp_path / f"{number} {RESULTS[format_name]}"
        write([with_many_mentions(number, text)], file, format_name)
        with pytest.raises(DataError, match=r"entsemble wrote this (table|page)|not a text file"):
            list(read(file))


def test_texts_are_the_same_and_their_mentions_are_counted(tmp_path: Path) -> None:
    for number, text in enumerate(AWKWARD_TEXTS):
        document = with_many_mentions(number, text.replace("\ufeff", ""))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write([document], tmp_path / f"{number}.txt")
            (back,) = read(tmp_path / f"{number}.txt", "text")
        assert back.text == document.text
        assert [f"{len(document.mentions)} mention" in str(warning.message) for warning in caught] == [True] * bool(
            document.mentions
        )


@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy", "doccano", "brat"])
def test_awkward_texts_are_the_same_in_an_archive(format_name: str, tmp_path: Path) -> None:
    documents = [with_many_mentions(number, text) for number, text in enumerate(AWKWARD_TEXTS)]
    folder = tmp_path / "folder"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # line ends at the edges of mentions, in brat
        write(documents, folder / "docs" if format_name == "brat" else folder / "docs.json", format_name)
    archive = shutil.make_archive(str(tmp_path / "docs"), "zip", folder)
    back = list(read(archive, None if format_name == "brat" else format_name))
    originals = {document.id: essentials(document) for document in documents}
    assert {document.id.removeprefix("docs/"): essentials(document) for document in back} == originals


@pytest.mark.parametrize("format_name", LOSSLESS)
@given(awkward_documents())
@settings(max_examples=50)
def test_text_mentions_and_meta_are_the_same(format_name: str, document: Document) -> None:
    pytest.importorskip(PACKAGES.get(format_name, "json"))
    assert through(format_name, document) == [as_stored(document, format_name)]


@given(awkward_documents(with_meta=False))
@example(Document("0", " "))
@settings(max_examples=150)
def test_conll_keeps_all_but_whitespace_or_says_what_it_cannot_hold(document: Document) -> None:
    try:
        sentences = through("conll", document)
    except DataError as error:
        reasons = ("cannot store the label", "a blank", "has no sentence", "no column holds tags", "has a word")
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
