"""Lines for doccano's sequence labelling; `jsonl.read_lines` reads its exports. Offsets count code points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from entsemble.data.json_values import write_json
from entsemble.data.jsonl import DOCUMENT_KEYS
from entsemble.types import Document


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """One JSON object per line, with mentions as `[start, end, label]`; doccano cannot store scores.

    Meta becomes keys beside the text. What would be taken for a part of the document there stays together under `meta`.

    Raises:
        DataError: a document's meta cannot be written as JSON.
    """
    for document in documents:
        label = [[mention.start, mention.end, mention.label] for mention in document.mentions]
        meta = {key: value for key, value in document.meta.items() if key not in DOCUMENT_KEYS}
        nested_meta = {key: value for key, value in document.meta.items() if key in DOCUMENT_KEYS}
        record = {**meta, "id": document.id, "text": document.text, "label": label}
        if nested_meta:
            record["meta"] = nested_meta
        stream.write(write_json(record, document.id) + "\n")
