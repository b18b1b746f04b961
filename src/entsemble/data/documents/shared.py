"""What the readers of documents share: the extra, limits, cleaned text, and offices' zip files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from entsemble.data.archives import MAX_RATIO, UNSUSPICIOUS_BYTES, ZIP_ERRORS
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document

EXTRA = "documents"
"""The extra of entsemble that installs the libraries."""

MAX_FILE_BYTES = 1 << 28
"""256 MB: a document with its pictures."""

MAX_MARKUP_BYTES = 1 << 25
"""32 MB of markup: in memory, its tree is forty times as large."""

_UNIFORM = {0xA0: " ", 0x202F: " ", 0xAD: None, 0xFEFF: None, 0: None}
"""Spaces that do not break are spaces; soft hyphens, byte order marks and NUL are left out."""

_LINE_END = re.compile(r"[ \t]*(\r\n?|\n)")
_BLANK_LINES = re.compile(r"\n{3,}")


def clean_text(text: str) -> str:
    """The text with one kind of space and line end, without invisible characters, and with at most one blank line."""
    return _BLANK_LINES.sub("\n\n", _LINE_END.sub("\n", text.translate(_UNIFORM))).strip()


def file_document(source: Source, text: str, meta: Mapping[str, Any] | None = None) -> Document:
    """The document of a file that is one text; its name is in the meta.

    Raises:
        DataError: the text is empty.
    """
    cleaned = clean_text(text)
    if not cleaned:
        raise DataError("there is no text in it; if it is a picture of text, recognise its text first", source.place)
    warn_of_replaced(cleaned, source)
    return Document(source.name, cleaned, meta={"file": source.name, **(meta or {})})


def warn_of_replaced(text: str, source: Source) -> None:
    """Say how many characters could not be decoded, if any."""
    if count := text.count("\ufffd"):
        noun = "character is" if count == 1 else "characters are"
        warn(f"{source.place}: {count} {noun} not decodable and read as \ufffd")


def office_content(source: Source, kind: str, main_part: str) -> BytesIO:
    """The bytes of an office document, which is a zip file of XML, after a look at what it would unpack to.

    Args:
        source: the file.
        kind: what it should be, for messages: "a Word document".
        main_part: the name of the part with the text.

    Raises:
        DataError: it is damaged, encrypted, or something else, or unpacks to too much.
    """
    content = source.content(MAX_FILE_BYTES)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        problem = f"this is an old or encrypted office file, not {kind}; save it without a password in the new format"
        raise DataError(problem, source.place)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            parts = archive.infolist()
            archive.getinfo(main_part)
    except KeyError as error:
        raise DataError(f"this is not {kind}; it has no part {main_part!r}", source.place) from error
    except ZIP_ERRORS as error:
        problem = f"this is not {kind}, or it is damaged: {str(error) or type(error).__name__}"
        raise DataError(f"{problem}; is the file complete?", source.place) from error
    markup_bytes = sum(part.file_size for part in parts if part.filename.endswith((".xml", ".rels")))
    total_bytes = sum(part.file_size for part in parts)
    if markup_bytes > MAX_MARKUP_BYTES or total_bytes > max(UNSUSPICIOUS_BYTES, len(content) * MAX_RATIO):
        problem = f"it unpacks to {total_bytes:,} bytes, {markup_bytes:,} of them text, more than a document should"
        raise DataError(f"{problem}; split it, or save its text as .txt", source.place)
    return BytesIO(content)
