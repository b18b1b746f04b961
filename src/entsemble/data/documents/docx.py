"""Word documents (`.docx`): text, tables, notes and tracked insertions, through mammoth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from entsemble._lib.optional import require
from entsemble.data.documents.shared import EXTRA, file_document, office_content
from entsemble.data.documents.web_page import visible_text
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document

_NOTE_MARKS = ('a[href^="#footnote"]', 'a[href^="#endnote"]')
"""The numbers of notes in the text, and the arrows back from the notes."""

_UNREAD = "An unrecognised element was ignored: "


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """A Word document as one text; notes come last. Headers, footers and comments are not a part of it.

    Raises:
        DataError: it is damaged or encrypted, unpacks to too much, or has no text.
        MissingExtraError: mammoth or resiliparse is not installed.
    """
    mammoth = require("mammoth", EXTRA, "reading Word documents")
    content = office_content(source, "a Word document (.docx)", "word/document.xml")
    try:
        converted = mammoth.convert_to_html(content, convert_image=lambda _: [], include_embedded_style_map=False)
    except Exception as error:  # a damaged file raises errors of many classes, those of its XML parser among them
        problem = f"this Word document cannot be read: {str(error) or type(error).__name__}"
        raise DataError(f"{problem}; save it again, or save its text as .txt", source.place) from error
    _warn_of_unread(converted.messages, source)
    yield file_document(source, visible_text(converted.value, _NOTE_MARKS))


def _warn_of_unread(messages: list[Any], source: Source) -> None:
    """Say which elements were left out, if any, because they may contain text."""
    names = sorted({one.message.removeprefix(_UNREAD) for one in messages if one.message.startswith(_UNREAD)})
    if names:
        warn(f"{source.place}: elements that are not read: {', '.join(names)}; check the text")
