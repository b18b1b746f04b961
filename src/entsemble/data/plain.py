"""Plain text: one document a file."""

from __future__ import annotations

from collections.abc import Iterator

from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.types import Document


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The whole file as one document called by its name; line ends stay as they are, a byte order mark is dropped."""
    yield Document(source.name, source.text())
