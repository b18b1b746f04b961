"""Tables, texts and redacted texts that are made of results."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import name_key
from entsemble.data import table_files
from entsemble.data.formats import read, write, write_stream
from entsemble.data.redaction import Redactor
from entsemble.errors import DataError, EntsembleWarning, MissingExtraError
from entsemble.types import Document, Mention, mention_at

HEADER = ["file", "page", "sentence", "start", "end", "text", "label", "score", "votes"]
TEXT = "Ada met Bob.\nThen ADA's\nfriend Eve left."
VOTES = {"m": "person", "n": "none"}
PAGE = Document(
    "a.pdf#page=2",
    TEXT,
    (Mention(0, 3, "person", "Ada", 0.91239, VOTES), mention_at(TEXT, 18, 23, "person")),
    meta={"file": "a.pdf", "page": 2},
)
NOTE = Document("note", "Ada, Eve", (mention_at("Ada, Eve", 0, 3, "ship"), mention_at("Ada, Eve", 5, 8, "person")))
ROWS = [
    HEADER,
    ["a.pdf", "2", "Ada met Bob.", "0", "3", "Ada", "person", "0.9124", "m: person; n: none"],
    ["a.pdf", "2", "Then ADA's friend Eve left.", "18", "23", "ADA's", "person", "", ""],
    ["note", "", "Ada, Eve", "0", "3", "Ada", "ship", "", ""],
    ["note", "", "Ada, Eve", "5", "8", "Eve", "person", "", ""],
]
NAMES = [
    ["name", "mentions", "labels", "variants", "files"],
    ["Ada", "3", "person (2); ship (1)", "Ada (2); ADA's (1)", "a.pdf (2); note (1)"],
    ["Eve", "1", "person (1)", "Eve (1)", "note (1)"],
]


def csv_rows(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")  # for Excel
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def tsv_rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def xlsx_rows(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet, "no formulas"
    row_elements = re.findall(r"<row .*?</row>", sheet, re.DOTALL)
    rows = [re.findall(r'<c r="([A-I])\d+"[^>]*?(?:/>|>(.*?)</c>)', row, re.DOTALL) for row in row_elements]
    cells = [{column: unescape(re.sub(r"<.*?>", "", cell)) for column, cell in row} for row in rows]
    return [[row.get(column, "") for column in "ABCDEFGHI"[: len(cells[0])]] for row in cells]


READERS: dict[str, Callable[[Path], list[list[str]]]] = {"csv": csv_rows, "tsv": tsv_rows, "xlsx": xlsx_rows}


@pytest.mark.parametrize("kind", READERS)
def test_a_table_has_a_row_for_each_mention_or_for_each_name(tmp_path: Path, kind: str) -> None:
    if kind == "xlsx":
        pytest.importorskip("xlsxwriter")
    path = tmp_path / f"a.{kind}"
    write([PAGE, NOTE, Document("empty", "")], path)
    assert READERS[kind](path) == ROWS
    write([PAGE, NOTE], path, f"names-{kind}")
    assert READERS[kind](path) == NAMES


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("surface", ["=1+1", "+49", "-x", "@ada", "x\ty", "x\nz", 'say "a, b"', " =2", "שלום"])
def test_no_cell_is_a_formula(tmp_path: Path, kind: str, surface: str) -> None:
    if kind == "xlsx":
        pytest.importorskip("xlsxwriter")
    write([Document("=id()", surface, (mention_at(surface, 0, len(surface), "-l"),))], tmp_path / f"a.{kind}")
    _, row = READERS[kind](tmp_path / f"a.{kind}")
    apostrophe = "'" * (kind != "xlsx")
    written = " ".join(surface.split()) if kind == "tsv" else surface
    assert (row[0], row[6]) == (f"{apostrophe}=id()", f"{apostrophe}-l")
    assert row[5] == apostrophe * (surface[0] in "=+-@") + written


def test_a_table_on_a_stream_has_no_byte_order_mark() -> None:
    stream = io.StringIO()
    write_stream([NOTE], stream, "csv")
    assert stream.getvalue().startswith("file,page,")


def test_of_a_long_sentence_the_part_around_the_mention_is_written(tmp_path: Path) -> None:
    text = "so " * 1000 + "Ada " + "and " * 1000
    write([Document("a", text, (mention_at(text, 3000, 3003, "P"),))], tmp_path / "a.csv")
    sentence = csv_rows(tmp_path / "a.csv")[1][2]
    assert " Ada " in sentence
    assert len(sentence) <= 500


def test_names_in_many_files_are_counted(tmp_path: Path) -> None:
    write(
        [Document(str(n), "Ada", (mention_at("Ada", 0, 3, "P"),)) for n in range(60)], tmp_path / "a.csv", "names-csv"
    )
    assert csv_rows(tmp_path / "a.csv")[1][4].endswith("49 (1); 10 more")


def test_what_does_not_fit_into_excel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xlsxwriter")
    text = "a" * 40_000
    with pytest.raises(DataError, match=r"a.xlsx: a cell of 40,000 characters begins 'aaa.*; write .csv"):
        write([Document("a", text, (mention_at(text, 0, len(text), "P"),))], tmp_path / "a.xlsx")
    monkeypatch.setattr(table_files, "_MAX_XLSX_ROWS", 2)
    with pytest.raises(DataError, match=r"an Excel sheet has 2 rows, and there are more; write .csv"):
        write([NOTE], tmp_path / "a.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'entsemble\[documents\]'"):
        write([NOTE], tmp_path / "a.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_libreoffice_opens_the_table(tmp_path: Path, kind: str) -> None:
    write([PAGE, Document("ü", "=1+1", (mention_at("=1+1", 0, 4, "P"),))], tmp_path / f"a.{kind}")
    words = ["soffice", f"-env:UserInstallation={(tmp_path / 'home').as_uri()}", "--headless"]
    words += ["--infilter=CSV:44,34,76"] if kind == "csv" else []
    words += ["--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", str(tmp_path / "out")]
    subprocess.run([*words, str(tmp_path / f"a.{kind}")], check=True, capture_output=True, timeout=300)
    opened = list(csv.reader((tmp_path / "out" / "a.csv").open(encoding="utf-8-sig", newline="")))
    apostrophe = "'" * (kind == "csv")
    formula = f"{apostrophe}=1+1"
    assert opened == [*ROWS[:3], ["ü", "", formula, "0", "4", formula, "P", "", ""]]


# redaction


def redacted(style: str, *documents: Document) -> list[str]:
    return [document.text for document in Redactor(style).redact(documents)]  # type: ignore[arg-type]


def test_names_become_labels_or_pseudonyms_that_are_the_same_throughout() -> None:
    assert redacted("label", PAGE, NOTE) == ["[PERSON] met Bob.\nThen [PERSON]\nfriend Eve left.", "[SHIP], [PERSON]"]
    assert redacted("pseudonym", PAGE, NOTE) == [
        "person-1 met Bob.\nThen person-1\nfriend Eve left.",
        "ship-1, person-2",
    ]


def test_a_redacted_document_keeps_neither_names_nor_their_places() -> None:
    document = Document("1", "Ada", (Mention(0, 3, "musical artist", "Ada", 0.5, VOTES),), meta={"x": "Ada", "page": 3})
    [result] = Redactor("pseudonym").redact([document])
    mention = Mention(0, 16, "musical artist", "musical-artist-1", 0.5, VOTES)
    assert result == Document("1", "musical-artist-1", (mention,), meta={"page": 3})


@given(st.text("ab ", min_size=1, max_size=30), st.lists(st.tuples(st.integers(0, 29), st.integers(1, 9)), max_size=6))
def test_no_character_of_a_mention_survives(text: str, ranges: list[tuple[int, int]]) -> None:
    spans = [(start, min(start + length, len(text))) for start, length in ranges if start < len(text)]
    document = Document("1", text, tuple(mention_at(text, start, end, "P") for start, end in spans))
    [result] = Redactor("label").redact([document])
    covered = {position for start, end in spans for position in range(start, end)}
    assert result.text.replace("[P]", "") == "".join(c for position, c in enumerate(text) if position not in covered)
    assert all(mention.text == "[P]" for mention in result.mentions)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("Ada  Lovelace", "ADA\nLOVELACE", True),
        ("Ada\u2019s", "Ada", True),
        ('"Acme Inc."', "Acme Inc", True),
        ("\ufb01nn", "Finn", True),
        ("...", "...", True),
        ("...", "!", False),
        ("Ada", "Adas", False),
    ],
)
def test_names_are_the_same_whatever_their_case_and_punctuation(first: str, second: str, is_same: bool) -> None:
    assert (name_key(first) == name_key(second)) is is_same


# texts


def test_texts_are_written_to_one_file_or_to_a_folder(tmp_path: Path) -> None:
    pages = [Document(f"r.pdf#page={n}", f"page {n}", meta={"file": "sub/r.pdf", "page": n}) for n in (1, 2)]
    documents = [*pages, Document("a.txt", "one\r\ntwo\n"), Document("../b:c", "b")]
    write(documents, tmp_path / "all.txt")
    assert (tmp_path / "all.txt").read_bytes() == b"page 1\n\x0c\npage 2\n\x0c\none\r\ntwo\n\x0c\nb"
    write(documents, tmp_path / "folder", "text")
    files = {path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*.txt")}
    assert files == {"sub/r.pdf.txt", "a.txt", "%2E%2E/b%3Ac.txt"}
    assert (tmp_path / "folder" / "sub" / "r.pdf.txt").read_bytes() == b"page 1\n\x0c\npage 2"
    assert [document.text for document in read(tmp_path / "folder" / "a.txt")] == ["one\r\ntwo\n"]
    with pytest.raises(DataError, match="text needs a new one"):
        write(documents, tmp_path / "folder", "text")
    with pytest.raises(DataError, match=r"'a' and 'a.txt' would both be written to a.txt"):
        write([Document("a", ""), Document("a.txt", "")], tmp_path / "other", "text")


@pytest.mark.parametrize("target", ["a.txt", "folder"])
def test_mentions_that_a_text_does_not_hold_are_announced(tmp_path: Path, target: str) -> None:
    with pytest.warns(EntsembleWarning, match=r"2 mentions are not written, because a plain text has none"):
        write([PAGE], tmp_path / target, "text")
