"""Warnings about what a format does not store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from entsemble.errors import warn
from entsemble.types import Document


def warn_of_scores(documents: Iterable[Document], target: str | Path) -> Iterator[Document]:
    """The documents; at their end a warning, if their mentions have scores."""
    scored_count = 0
    for document in documents:
        scored_count += sum(mention.score is not None for mention in document.mentions)
        yield document
    if scored_count:
        noun = "mention has a score" if scored_count == 1 else "mentions have scores"
        warn(f"{target}: {scored_count:,} {noun}, which this format does not store; write JSON Lines to keep them")
