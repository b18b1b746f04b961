from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path

import pytest

from entsemble.data.formats import read, write, write_stream
from entsemble.errors import ConfigError, DataError
from entsemble.types import Document, Mention, Span

arrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

DOCUMENTS = [
    Document(
        "a",
        "Ann left Oslo 👋.",
        (Mention(0, 3, "person", "Ann", 0.75, {"m": "person", "n": "none"}), Mention(9, 13, "place", "Oslo")),
        (Span(0, 3), Span(4, 8)),
        {"page": 3, "tags": ["x"], "deep": {"a": None}},
    ),
    Document("b", ""),
]


def test_documents_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.parquet"
    write(DOCUMENTS, path)
    assert list(read(path)) == DOCUMENTS


def test_many_rows_make_several_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    many = [Document(str(i), f"Text {i}.") for i in range(2500)]
    write(iter(many), path)
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert list(read(path)) == many


def test_other_columns_become_meta(tmp_path: Path) -> None:
    path = tmp_path / "wild.parquet"
    rows = [
        {"content": "Ann", "year": 1999, "meta": "no JSON", "on": date(2026, 1, 2), "raw": b"\x01\xff"},
        {"content": "Oslo", "year": None, "meta": None, "on": None, "raw": None},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    documents = list(read(path))
    assert documents == [
        Document("wild.parquet:1", "Ann", meta={"year": 1999, "meta": "no JSON", "on": "2026-01-02", "raw": "01ff"}),
        Document("wild.parquet:2", "Oslo"),
    ]
    write(documents, tmp_path / "out.jsonl")
    assert list(read(tmp_path / "out.jsonl")) == documents


def test_an_error_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "wild.parquet"
    parquet.write_table(arrow.Table.from_pylist([{"text": "Ann"}, {"text": None}]), path)
    with pytest.raises(DataError, match=r"wild.parquet: row 2: there is no text"):
        list(read(path))


def test_a_file_that_is_not_parquet_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    path.write_text("PAR1 not really")
    with pytest.raises(DataError, match=r"broken.parquet: not a valid Parquet file"):
        list(read(path))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(DOCUMENTS, path)

    def failing() -> Iterator[Document]:
        yield from [Document(str(i), "x") for i in range(2000)]
        raise DataError("in the middle")

    with pytest.raises(DataError, match="in the middle"):
        write(failing(), path)
    assert list(read(path)) == DOCUMENTS
    assert [p.name for p in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_cannot_be_written_to_a_stream() -> None:
    with pytest.raises(ConfigError, match="parquet cannot go to a stream; give a path"):
        write_stream(DOCUMENTS, StringIO(), "parquet")
