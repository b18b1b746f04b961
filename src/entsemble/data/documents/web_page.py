"""HTML: the visible text of a page, through resiliparse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entsemble._lib.optional import require
from entsemble.data.documents.shared import EXTRA, MAX_MARKUP_BYTES, file_document
from entsemble.data.html import GENERATOR
from entsemble.data.options import ReadOptions
from entsemble.data.source import HEAD_BYTES, Source
from entsemble.errors import DataError
from entsemble.types import Document

_HIDDEN = ("[hidden]", '[style*="display:none" i]', '[style*="display: none" i]', "template", "title")


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The visible text of a page as one document. Its encoding is the one that it declares, or else is detected.

    Raises:
        DataError: it has no text, or entsemble wrote it, with labels between the words.
        MissingExtraError: resiliparse is not installed.
    """
    encoding = require("resiliparse.parse.encoding", EXTRA, "reading HTML")
    content = source.content(MAX_MARKUP_BYTES)
    if GENERATOR.encode() in content[:HEAD_BYTES]:
        raise DataError("entsemble wrote this page; give the texts that it shows, or results as .jsonl", source.place)
    declared = encoding.detect_encoding(content, from_html_meta=True)
    yield file_document(source, visible_text(encoding.bytes_to_str(content, declared, errors="replace")))


def visible_text(markup: str, skipped: Sequence[str] = ()) -> str:
    """The text of HTML that a browser would show; blocks, rows and list items are on lines of their own.

    Args:
        markup: the HTML.
        skipped: CSS selectors of elements to leave out.
    """
    extraction = require("resiliparse.extract.html2text", EXTRA, "reading HTML")
    text: str = extraction.extract_plain_text(markup, alt_texts=False, skip_elements=[*_HIDDEN, *skipped])
    return text
