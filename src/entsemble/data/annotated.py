"""Annotated sentences: read from a file, and as a reader without the answers sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from entsemble.data.formats import read
from entsemble.data.options import ReadOptions
from entsemble.data.windows import split_document
from entsemble.errors import DataError
from entsemble.types import Document


def read_annotated(path: Path, language: str, purpose: str) -> list[Document]:
    """The annotated sentences of a file; a mention in parts counts from its first to its last.

    Args:
        path: the file.
        language: of its texts.
        purpose: what the sentences are for, for the error.

    Raises:
        DataError: it cannot be read, or holds no mention.
    """
    whole = read(path, options=ReadOptions(discontinuous="hull"))
    parts = [part for document in whole for part in split_document(document, language=language)]
    if not any(part.mentions for part in parts):
        raise DataError(f"no annotated mention in it; {purpose}", path)
    return parts


def without_mentions(document: Document) -> Document:
    """The document as a reader without the answers sees it."""
    return replace(document, mentions=())


def has_nested_mentions(document: Document) -> bool:
    """Whether a mention overlaps another one."""
    return any(
        a is not b and a.span != b.span and a.span.overlaps(b.span)
        for a in document.mentions
        for b in document.mentions
    )
