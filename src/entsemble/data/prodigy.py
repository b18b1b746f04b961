"""Exports of Prodigy, and examples for it. Offsets count code points; mentions may be nested and may overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TextIO

from entsemble.data import jsonl
from entsemble.data.json_collections import warn_of_rejected
from entsemble.data.json_values import write_json
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The accepted examples of an export; a warning says how many others were left out.

    The keys that Prodigy adds, which begin with `_`, are left out, too.

    Raises:
        DataError: as for JSON Lines.
    """
    left_out = 0
    for line_number, record in jsonl.read_records(source):
        if isinstance(record, dict) and record.get("answer", "accept") != "accept":
            left_out += 1
            continue
        try:
            yield _document(record, f"{source.name}:{line_number}")
        except DataError as error:
            raise DataError(error.problem, source.place, line_number) from error
    warn_of_rejected(left_out, source)


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """Examples for `spans.manual` and `ner.manual`, which tokenise the text themselves.

    Raises:
        DataError: a document's meta cannot be written as JSON.
    """
    for document in documents:
        spans = [*map(_span_json, document.mentions)]
        example = {"id": document.id, "text": document.text, "spans": spans, "meta": dict(document.meta)}
        stream.write(write_json(example, document.id) + "\n")


def _document(record: object, default_id: str) -> Document:
    """The document of an example, whose id may also be among its meta."""
    if isinstance(record, dict):
        record = {key: value for key, value in record.items() if key != "answer" and not key.startswith("_")}
    document = jsonl.from_json(record, default_id)
    meta = dict(document.meta)
    if isinstance(record, dict) and "id" not in record and isinstance(meta.get("id"), (str, int)):
        return replace(document, id=str(meta.pop("id")), meta=meta)
    return document


def _span_json(mention: Mention) -> dict[str, Any]:
    span: dict[str, Any] = {"start": mention.start, "end": mention.end, "label": mention.label}
    return span if mention.score is None else {**span, "score": mention.score}
