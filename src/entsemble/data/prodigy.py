"""Exports of Prodigy, and examples for it. Offsets count code points; mentions may be nested and may overlap."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TextIO

from entsemble.data import jsonl
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.types import Document, Mention


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The accepted examples of an export; a warning says how many others were left out.

    Raises:
        DataError: as for JSON Lines.
    """
    left_out = 0
    for document in jsonl.read_lines(source, options):
        meta = {key: value for key, value in document.meta.items() if not key.startswith("_") and key != "answer"}
        if document.meta.get("answer", "accept") != "accept":
            left_out += 1
            continue
        yield replace(document, id=str(meta.pop("id", document.id)), meta=meta)
    if left_out:
        message = f"{source.name}: {left_out} examples that were rejected or ignored in Prodigy are left out"
        warnings.warn(message, stacklevel=2)


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """Examples for `spans.manual` and `ner.manual`, which tokenise the text themselves."""
    for document in documents:
        meta = {**document.meta, "id": document.id}
        example = {"text": document.text, "spans": [*map(_span_json, document.mentions)], "meta": meta}
        stream.write(json.dumps(example, ensure_ascii=False) + "\n")


def _span_json(mention: Mention) -> dict[str, Any]:
    span: dict[str, Any] = {"start": mention.start, "end": mention.end, "label": mention.label}
    return span if mention.score is None else {**span, "score": mention.score}
