"""Files for a session: annotated ones as they are, and texts that are to be extracted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from entsemble.data.formats import read
from entsemble.errors import DataError
from entsemble.types import Document


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The documents of one file or folder.

    Attributes:
        documents: as read.
        is_extracted: whether their mentions are what is reviewed; otherwise they are texts to extract from.
    """

    documents: list[Document]
    is_extracted: bool


def read_files(
    paths: Iterable[Path], format_name: str | None, on_error: Callable[[DataError], None] | None
) -> Iterator[ReadFile]:
    """The documents of each path. A file without any mention, that `extract` did not write, is to be extracted.

    Args:
        paths: files and folders.
        format_name: of all of them; detected by default.
        on_error: called for each that cannot be read; reading continues with the next one. By default it is raised.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    for path in paths:
        documents = list(read(path, format_name, on_error=on_error))
        is_extracted = any(document.mentions or "entsemble" in document.meta for document in documents)
        yield ReadFile(documents, is_extracted)


def has_nested(documents: Iterable[Document]) -> bool:
    """Whether a mention lies inside another one, or crosses it."""
    for document in documents:
        furthest_end = 0
        for mention in document.mentions:
            if mention.start < furthest_end:
                return True
            furthest_end = max(furthest_end, mention.end)
    return False
