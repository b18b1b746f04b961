"""Tables: CSV and TSV with texts, and mentions in rows or in a column."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.data.formats import read
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, EntsembleWarning


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "no column has a usual name of texts"),
        ("text,n,n\nAnn,1,2\n", "a.csv:1: two columns are called 'n'; rename one of them"),
        ("text, text\nAnn,Bob\n", "a.csv:1: two columns are called 'text'; rename one of them"),
        ("", "no header"),
        ("text,b\n1\n", ":2: this row has 1 cells"),
        ('text\nfine\n"open', ":3: not valid CSV"),
    ],
)
def test_malformed_tables_are_errors(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ('1\t"Mara went\n2\tBo said so"\n3\tx\n', ['"Mara went', 'Bo said so"', "x"]),
        ('1\t"Mara" went\n2\t"Bo"\n', ['"Mara" went', '"Bo"']),
        ('1\t"say ""hi"""\n', ['say "hi"']),
        ('1\t"one\ntwo"\n2\tx\n', ["one\ntwo", "x"]),
        ('1\t"a\tb"\n', ["a\tb"]),
        ('1\t5" disk\r\n', ['5" disk']),
    ],
)
def test_quotation_marks_in_tsv_are_text_where_they_can_be(tmp_path: Path, rows: str, texts: list[str]) -> None:
    (tmp_path / "a.tsv").write_bytes(b"id\ttext\n" + rows.encode())
    assert [document.text for document in read(tmp_path / "a.tsv")] == texts


def test_a_short_row_after_an_open_quotation_mark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"Mara went\nbroken\n2\tx\n')
    with pytest.raises(DataError, match=r"a.tsv:3: this row has 1 cells"):
        list(read(tmp_path / "a.tsv"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,text,start,end,label,n\n1,Ada met Bob,0,3,P,x\n1,Ada met Bob,8,11,P,y\n2,Nobody,,,,z\n"),
        (
            "a.tsv",
            "id\ttext\tbegin\tend\ttype\tn\n1\tAda met Bob\t0\t3\tP\tx\n"
            "1\tAda met Bob\t8\t11\tP\t\n2\tNobody\t\t\t\tz\n",
        ),
        ("a.csv", 'id,text,entities,n\n1,Ada met Bob,"[[0, 3, ""P""], [8, 11, ""P""]]",x\n2,Nobody,[],z\n'),
        (
            "a.tsv",
            'sep=\t\nid\tlabel\ttext\tn\n1\t"[{""start"": 0, ""end"": 3, ""labels"": [""P""]}, [8, 11, ""P""]]"\t'
            "Ada met Bob\tx\n2\t\tNobody\tz\n",
        ),
        (
            "a.csv",
            "id,text,spans,n\n1,Ada met Bob,\"[(0, 3, 'P'), {'start': 8, 'end': 11, 'label': 'P'}]\",x\n2,Nobody,,z\n",
        ),
    ],
)
def test_mentions_in_tables_are_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    first, second = read(tmp_path / name)
    assert (first.id, [(m.text, m.label) for m in first.mentions]) == ("1", [("Ada", "P"), ("Bob", "P")])
    assert (second.id, second.text, second.mentions) == ("2", "Nobody", ())
    assert (first.meta["n"], second.meta["n"]) == ("x", "z")


def test_rows_without_ids_that_have_one_text_are_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,start,end,label\nAda,0,3,P\nAda,0,2,Q\nBob,0,3,P\nAda,0,3,P\n")
    assert [(d.id, len(d.mentions)) for d in read(tmp_path / "a.csv")] == [
        ("a.csv:2", 2),
        ("a.csv:4", 1),
        ("a.csv:5", 1),
    ]


@pytest.mark.parametrize("span", ["4,7,P", "x,2,P", "2,2,P", "-1,2,P", "0,1,"])
def test_a_mention_that_is_not_in_its_row_is_an_error(tmp_path: Path, span: str) -> None:
    (tmp_path / "a.csv").write_text(f"text,start,end,label\nAda,0,3,P\nBob,{span}\n")
    with pytest.raises(DataError, match=r"a.csv:3: .* is not a labelled range of a text of 3 characters; offsets"):
        list(read(tmp_path / "a.csv"))


@pytest.mark.parametrize("cell", ["Ada; Bob", "3", '["Ada"]', "[nan]", "[" * 3000])
def test_a_column_that_lists_no_mentions_is_announced(tmp_path: Path, cell: str) -> None:
    (tmp_path / "a.csv").write_text("text,entities\nAda,'" + cell.replace('"', "'") + "'\n")
    with pytest.warns(EntsembleWarning, match=r"a.csv: the column 'entities' becomes meta, because it is no list"):
        (document,) = read(tmp_path / "a.csv")
    assert list(document.meta) == ["entities"]


def test_table_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n,,\n4,5,6\n")
    documents = list(read(tmp_path / "a.csv", options=ReadOptions(text_column="y", id_column="x")))
    assert [(d.id, d.text, d.meta) for d in documents] == [("1", "2", {"z": "3"}), ("4", "5", {"z": "6"})]


@pytest.mark.parametrize(
    "content",
    [
        "Text,Entities\nAda left.,\"[(0, 3, 'P')]\"\n",
        "ID,Text,Start,End,Label\n7,Ada left.,0,3,P\n",
        "text,start,end,label\nAda left.,0.0,3.0,P\nAda left.,,,\n",
    ],
)
def test_headers_in_capitals_and_offsets_with_a_fraction_are_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    (document,) = read(tmp_path / "x.csv")
    assert [(mention.text, mention.label) for mention in document.mentions] == [("Ada", "P")]
