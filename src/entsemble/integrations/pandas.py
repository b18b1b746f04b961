"""pandas: mentions as a DataFrame, one row per mention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import DataError
from entsemble.types import Document, Mention

COLUMNS = ("document", "start", "end", "text", "label", "score", "votes")


def to_frame(documents: Iterable[Document]) -> Any:  # noqa: ANN401 - pandas.DataFrame
    """A DataFrame with one row per mention, in order; `document` is the id. Documents without mentions have no row."""
    pandas = require("pandas", "pandas", "DataFrames")
    rows = [
        (document.id, mention.start, mention.end, mention.text, mention.label, mention.score, dict(mention.votes))
        for document in documents
        for mention in document.mentions
    ]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def from_frame(frame: Any, texts: Mapping[str, str]) -> list[Document]:  # noqa: ANN401 - pandas.DataFrame
    """The documents of a DataFrame, including those without mentions.

    Args:
        frame: as `to_frame` returns it; `score` and `votes` are optional.
        texts: document id -> text.

    Raises:
        DataError: a row refers to an unknown document, or its text is not at its offsets.
    """
    mentions_by_id: dict[str, list[Mention]] = {document_id: [] for document_id in texts}
    for row in frame.to_dict("records"):
        if row["document"] not in mentions_by_id:
            raise DataError(f"there is no text for the document {row['document']!r}")
        score = row.get("score")
        is_missing = score is None or score != score  # noqa: PLR0124 - pandas represents a missing number by NaN
        mention = Mention(
            int(row["start"]),
            int(row["end"]),
            row["label"],
            row["text"],
            None if is_missing else float(score),
            row.get("votes") or {},
        )
        mentions_by_id[row["document"]].append(mention)
    try:
        return [Document(document_id, text, tuple(mentions_by_id[document_id])) for document_id, text in texts.items()]
    except ValueError as error:
        raise DataError(str(error)) from error
