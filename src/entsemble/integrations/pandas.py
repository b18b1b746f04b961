"""Mentions as a table of pandas, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from entsemble.errors import DataError, MissingExtraError
from entsemble.types import Document, Mention

COLUMNS = ("document", "start", "end", "text", "label", "score", "votes")


def to_frame(documents: Iterable[Document]) -> Any:  # noqa: ANN401 - pandas.DataFrame
    """A row a mention, in order; `document` is the id. Documents without a mention have no row."""
    rows = [(d.id, m.start, m.end, m.text, m.label, m.score, dict(m.votes)) for d in documents for m in d.mentions]
    return _pandas().DataFrame(rows, columns=list(COLUMNS))


def from_frame(frame: Any, texts: Mapping[str, str]) -> list[Document]:  # noqa: ANN401 - pandas.DataFrame
    """The documents again, those without a mention too.

    Args:
        frame: as `to_frame` makes it; `score` and `votes` may be missing.
        texts: id -> text.

    Raises:
        DataError: a row names no text, or is not where it says.
    """
    found: dict[str, list[Mention]] = {name: [] for name in texts}
    for row in frame.to_dict("records"):
        if row["document"] not in found:
            raise DataError(f"there is no text for the document {row['document']!r}")
        score = row.get("score")
        given = None if score is None or score != score else float(score)  # noqa: PLR0124 - pandas' missing number
        mention = Mention(int(row["start"]), int(row["end"]), row["label"], row["text"], given, row.get("votes") or {})
        found[row["document"]].append(mention)
    try:
        return [Document(name, text, tuple(found[name])) for name, text in texts.items()]
    except ValueError as error:
        raise DataError(str(error)) from error


def _pandas() -> Any:  # noqa: ANN401 - untyped library
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas", "a table of pandas") from error
    return pandas
