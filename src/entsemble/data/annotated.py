"""Annotated sentences: reading them, and removing their annotation."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

from entsemble.data.formats import read
from entsemble.data.options import ReadOptions
from entsemble.data.windows import split_document
from entsemble.errors import DataError
from entsemble.types import Document


def read_annotated(path: Path, format_name: str | None, language: str, purpose: str) -> list[Document]:
    """The annotated sentences of a file; a discontinuous mention reaches from its first to its last character.

    Args:
        path: the file.
        format_name: its format; detected if `None`.
        language: the ISO 639-1 code of the texts' language.
        purpose: what the sentences are for; part of the error message.

    Raises:
        DataError: the file cannot be read, or contains no mention.
        UnknownNameError: there is no such format.
    """
    documents = read(path, format_name, ReadOptions(discontinuous="hull"))
    sentences = [part for document in documents for part in split_document(document, language=language)]
    if not any(sentence.mentions for sentence in sentences):
        raise DataError(f"there is no annotated mention in it; {purpose}", path)
    return sentences


def without_mentions(document: Document) -> Document:
    """The same document without its annotation."""
    return replace(document, mentions=())


def has_nested_mentions(document: Document) -> bool:
    """Whether two mentions with different ranges overlap."""
    return any(
        first.span != second.span and first.span.overlaps(second.span)
        for first, second in combinations(document.mentions, 2)
    )
