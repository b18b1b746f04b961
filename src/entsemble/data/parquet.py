"""Parquet, what data lakes and Ray hold: one row a document, in the shape of our JSON Lines.

Columns are `id`, `text`, `mentions` (a list of structs), `tokens` and `meta` (JSON). A file from elsewhere needs a
column of text; its other columns become `meta`, as in JSON Lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from entsemble.data.jsonl import from_json, to_json
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, MissingExtraError
from entsemble.types import Document

_ROWS = 1000
"""Documents that are held in memory, and that a group of the file holds."""


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a Parquet file, a group of rows at a time.

    A document without an id is called `<name>:<row>`, rows counted from 1.

    Raises:
        DataError: it is no Parquet file, or a row is no document.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    number += 1
                    try:
                        yield from_json(row_to_json(row), f"{name}:{number}")
                    except DataError as error:
                        raise DataError(f"row {number}: {error.problem}", path) from error
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"no Parquet file: {error}", path) from error


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as they come; a group of rows at a time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    source = iter(documents)
    with parquet.ParquetWriter(path, schema) as writer:
        while part := list(islice(source, _ROWS)):
            writer.write_table(arrow.Table.from_pylist([_row(d) for d in part], schema=schema))


def row_to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON would have it: no empty cells, `meta` unpacked where it is ours."""
    plain = {key: _plain(value) for key, value in row.items() if value is not None}
    meta = plain.get("meta")
    if isinstance(meta, str):
        try:
            plain["meta"] = json.loads(meta)
        except json.JSONDecodeError:
            plain["meta"] = meta
    return plain


def _plain(value: object) -> object:
    """What JSON can hold: times, decimals and the like as people write them, bytes in hexadecimal."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _row(document: Document) -> dict[str, Any]:
    row = to_json(document)
    row["tokens"] = [{"start": t.start, "end": t.end} for t in document.tokens] or None
    row["meta"] = json.dumps(row["meta"], ensure_ascii=False) if "meta" in row else None
    return row


def _schema(arrow: Any) -> Any:  # noqa: ANN401 - untyped library
    text, place = arrow.string(), arrow.int64()
    votes = arrow.map_(text, text)
    mention = {"start": place, "end": place, "text": text, "label": text, "score": arrow.float64(), "votes": votes}
    return arrow.schema(
        {
            "id": text,
            "text": text,
            "mentions": arrow.list_(arrow.struct(mention)),
            "tokens": arrow.list_(arrow.struct({"start": place, "end": place})),
            "meta": text,
        }
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Parquet") from error
    return arrow, parquet
