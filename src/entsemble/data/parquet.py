"""Parquet and Arrow, which data lakes, Ray and Hugging Face use: one row per document, in the shape of our JSON Lines.

The columns are `id`, `text`, `mentions` (a list of structs), `tokens` and `meta` (JSON). Files of other origin need a
column of texts; their other columns become `meta`, as in JSON Lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.data import class_names
from entsemble.data.json_values import check_scores, parse_json, write_json
from entsemble.data.jsonl import from_json, to_json
from entsemble.data.mention_shapes import warn_of_unread
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError
from entsemble.types import Document

_ARROW_FILE = b"ARROW1"
"""How an Arrow file begins that is not a stream."""

_ROWS_PER_GROUP = 1000
"""Documents in a row group that is written, and in memory at a time."""

_ROWS_PER_BATCH = 64
"""Documents in memory at a time when read: a file of kilobytes can hold one long text a thousand times."""


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:
    """The documents of a Parquet file; `_ROWS_PER_BATCH` are in memory at a time.

    A document without an id is called `<name>:<row>`, with rows counted from 1.

    Raises:
        DataError: it is not a Parquet file, its content is damaged, or a row is not a document.
        MissingExtraError: pyarrow is not installed.
    """
    _, parquet = _import_pyarrow()
    with _reading("Parquet", path), parquet.ParquetFile(path) as file:
        yield from _documents(file.iter_batches(batch_size=_ROWS_PER_BATCH), file.schema_arrow, path, name, options)


def read_arrow(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:
    """The documents of an Arrow file or stream, in which Hugging Face `datasets` saves data sets.

    Raises:
        DataError, MissingExtraError: as for `read`.
    """
    ipc = require("pyarrow.ipc", extra="parquet", purpose="Arrow")
    with _reading("Arrow", path), path.open("rb") as file:
        is_stream = file.read(len(_ARROW_FILE)) != _ARROW_FILE
        file.seek(0)
        reader = ipc.open_stream(file) if is_stream else ipc.open_file(file)
        batches = reader if is_stream else map(reader.get_batch, range(reader.num_record_batches))
        yield from _documents(batches, reader.schema, path, name, options)


def _documents(
    batches: Iterable[Any],
    schema: Any,  # noqa: ANN401
    path: Path,
    name: str,
    options: ReadOptions,
) -> Iterator[Document]:
    names = class_names.from_schema(path, schema.metadata)
    row_number, is_warned = 0, False
    for batch in batches:
        for row in batch.to_pylist(maps_as_pydicts="strict"):
            row_number += 1
            try:
                record = row_to_json(row)
                document = from_json(record, f"{name}:{row_number}", options.discontinuous, names)
            except (DataError, RecursionError) as error:
                problem = error.problem if isinstance(error, DataError) else str(error)
                raise DataError(f"row {row_number}: {problem}", path) from error
            is_warned = is_warned or warn_of_unread(document, record, f"{path}: row {row_number}")
            yield document


@contextmanager
def _reading(format_name: str, path: Path) -> Iterator[None]:
    """Raise what pyarrow raises for a damaged file, which is of many classes, as DataErrors."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        problem = str(error) or type(error).__name__
        raise DataError(f"not a valid {format_name} file: {problem}; is the file complete?", path) from error


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as they come, one row group at a time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pyarrow, parquet = _import_pyarrow()
    schema = _schema(pyarrow)
    remaining = iter(documents)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(remaining, _ROWS_PER_GROUP)):
            rows = [_row(document) for document in group]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def row_to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a JSON object: without empty cells, and with `meta` parsed if it is JSON."""
    record = {key: _json_value(value) for key, value in row.items() if value is not None}
    meta = record.get("meta")
    if isinstance(meta, str):
        try:
            record["meta"] = parse_json(meta)
        except (ValueError, RecursionError):
            record["meta"] = meta
    return record


def _json_value(value: object) -> object:
    """A value that JSON can represent; bytes become hexadecimal, times, decimals and the like become text."""
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _row(document: Document) -> dict[str, Any]:
    check_scores(document)
    record = to_json(document)
    record["tokens"] = [{"start": token.start, "end": token.end} for token in document.tokens] or None
    record["meta"] = write_json(record["meta"], document.id) if "meta" in record else None
    return record


def _schema(pyarrow: Any) -> Any:  # noqa: ANN401 - untyped library
    string, integer = pyarrow.string(), pyarrow.int64()
    mention_fields = {
        "start": integer,
        "end": integer,
        "text": string,
        "label": string,
        "score": pyarrow.float64(),
        "votes": pyarrow.map_(string, string),
    }
    return pyarrow.schema(
        {
            "id": string,
            "text": string,
            "mentions": pyarrow.list_(pyarrow.struct(mention_fields)),
            "tokens": pyarrow.list_(pyarrow.struct({"start": integer, "end": integer})),
            "meta": string,
        }
    )


def _import_pyarrow() -> tuple[Any, Any]:
    pyarrow = require("pyarrow", extra="parquet", purpose="Parquet")
    return pyarrow, require("pyarrow.parquet", extra="parquet", purpose="Parquet")
