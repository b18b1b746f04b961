"""OpenDocument texts (`.odt`): paragraphs, headings, lists and tables in order, notes after their paragraph."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from entsemble.data.archives import ZIP_ERRORS
from entsemble.data.documents.shared import file_document, office_content
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document

_MAIN_PART = "content.xml"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_DRAWING = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"

_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_NOTE = f"{_TEXT}note-body"
_UNREAD = {
    f"{_TEXT}tracked-changes",  # what was deleted
    f"{_TEXT}note-citation",
    f"{_TEXT}sequence-decls",
    f"{_OFFICE}annotation",
    f"{_OFFICE}forms",
    f"{_DRAWING}title",
    f"{_DRAWING}desc",
}
_WHITESPACE = re.compile(r"[ \t\r\n]+")


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """An OpenDocument text as one text. Headers, footers, comments and deleted text are not a part of it.

    Raises:
        DataError: it is damaged or encrypted, unpacks to too much, or has no text.
    """
    content = office_content(source, "an OpenDocument text (.odt)", _MAIN_PART)
    try:
        with zipfile.ZipFile(content) as archive:
            body = ElementTree.fromstring(archive.read(_MAIN_PART)).find(f"{_OFFICE}body")
        blocks = [] if body is None else list(_blocks(body))
    except (*ZIP_ERRORS, ElementTree.ParseError, RecursionError) as error:
        problem = f"this OpenDocument text cannot be read: {str(error) or type(error).__name__}"
        raise DataError(f"{problem}; is it encrypted, or incomplete?", source.place) from error
    yield file_document(source, "\n\n".join(blocks))


def _blocks(element: ElementTree.Element) -> Iterator[str]:
    """The paragraphs below an element, each followed by its notes and frames."""
    for child in element:
        if child.tag in _PARAGRAPHS:
            inner: list[ElementTree.Element] = []
            yield "".join(_inline(child, inner)).strip()
            for block in inner:
                yield from _blocks(block)
        elif child.tag not in _UNREAD:
            yield from _blocks(child)


def _inline(element: ElementTree.Element, inner: list[ElementTree.Element]) -> Iterator[str]:
    """The text of a paragraph or a part of it; elements with paragraphs of their own are added to `inner`."""
    if element.tag == f"{_TEXT}s":
        yield " " * min(int(element.get(f"{_TEXT}c", "1")), 1000)
    elif element.tag == f"{_TEXT}tab":
        yield "\t"
    elif element.tag == f"{_TEXT}line-break":
        yield "\n"
    yield _WHITESPACE.sub(" ", element.text or "")
    for child in element:
        if child.tag == _NOTE or any(grandchild.tag in _PARAGRAPHS for grandchild in child):
            inner.append(child)
        elif child.tag not in _UNREAD:
            yield from _inline(child, inner)
        yield _WHITESPACE.sub(" ", child.tail or "")
