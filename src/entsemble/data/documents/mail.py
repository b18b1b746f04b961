"""E-mail (`.eml`): the headers that name people, and the text of the message, with the standard library."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from entsemble.data.documents.shared import MAX_MARKUP_BYTES, clean_text, file_document
from entsemble.data.documents.web_page import visible_text
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_PREFERRED = ("text/plain", "text/html")
_MAX_MESSAGE_BYTES = 2 * MAX_MARKUP_BYTES
"""64 MB, attachments included; servers accept half as much."""


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """A message as one text, its headers first; `meta` has the names of its attachments, which are not read.

    Raises:
        DataError: it is not a message, or a part of it cannot be decoded.
        MissingExtraError: the message is HTML only, and resiliparse is not installed.
    """
    content = source.content(_MAX_MESSAGE_BYTES)
    attachments: list[str] = []
    try:
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
        headers = [f"{name}: {value}" for name in _HEADERS if (value := message.get(name))]
        texts = [clean_text(text) for text in _texts(message, attachments)]
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # the parser's
        problem = f"this e-mail cannot be read: {str(error) or type(error).__name__}"
        raise DataError(f"{problem}; save its text as .txt", source.place) from error
    if not headers:
        raise DataError("this is not an e-mail: it has no headers such as From and Subject", source.place)
    if attachments:
        names = ", ".join(attachments)
        warn(f"{source.place}: attachments are not read: {names}; save them as files")
    meta = {"attachments": attachments} if attachments else {}
    yield file_document(source, "\n\n".join(["\n".join(headers), *texts]), meta)


def _texts(part: EmailMessage, attachments: list[str]) -> Iterator[str]:
    """The texts of a message or a part of it; of alternatives, one. The names of other parts go to `attachments`."""
    content_type = part.get_content_type()
    if part.get_content_disposition() == "attachment" or content_type == "message/rfc822":
        attachments.append(part.get_filename() or content_type)
    elif content_type == "multipart/alternative":
        parts = sorted(_children(part), key=_preference)
        if parts:
            yield from _texts(parts[0], attachments)
    elif part.is_multipart():
        for child in _children(part):
            yield from _texts(child, attachments)
    elif content_type == "text/plain":
        yield str(part.get_content())
    elif content_type == "text/html":
        yield visible_text(str(part.get_content()))
    elif part.get_content_disposition() is not None:
        attachments.append(part.get_filename() or content_type)


def _children(part: EmailMessage) -> list[EmailMessage]:
    return [child for child in part.iter_parts() if isinstance(child, EmailMessage)]


def _preference(part: EmailMessage) -> int:
    """Plain text first, then HTML, then parts that contain one of them."""
    content_type = part.get_content_type()
    return _PREFERRED.index(content_type) if content_type in _PREFERRED else len(_PREFERRED)
