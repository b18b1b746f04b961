"""Lines for doccano's sequence labelling; `jsonl.read_lines` reads its exports. Offsets count code points."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from entsemble.types import Document


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """One JSON object per line, with mentions as `[start, end, label]`; doccano cannot store scores."""
    for document in documents:
        label = [[mention.start, mention.end, mention.label] for mention in document.mentions]
        record = {**document.meta, "id": document.id, "text": document.text, "label": label}
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")
