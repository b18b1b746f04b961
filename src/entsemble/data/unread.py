"""Files that no reader understands: what they are, and how their text can be read all the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from entsemble.errors import warn


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: with its article, for messages; empty if it is not known.
        advice: what to do about it.
    """

    name: str
    advice: str


_PICTURE = Kind("a picture", "recognise its text first, for example with tesseract")
MARKUP_ADVICE = "convert it to one of the formats in the documentation, or name the format text to keep its markup"
_OTHER = Kind("", "if they are data, give them by name")

_KINDS = {
    _PICTURE: (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".svg"),
    Kind("an old Word document", "save it as .docx"): (".doc", ".dot"),
    Kind("a spreadsheet", "save the sheet as .csv"): (".xls", ".xlsx", ".ods"),
    Kind("a presentation", "save it as PDF"): (".ppt", ".pptx", ".odp"),
    Kind("a book or a Pages document", "save it as PDF, HTML or .docx"): (".epub", ".mobi", ".pages"),
    Kind("a mail of Outlook's", "save it as .eml"): (".msg", ".pst"),
    Kind("an RTF document", "save it as .docx or .odt, or name the format text to keep its markup"): (".rtf",),
    Kind("XML", MARKUP_ADVICE): (".xml", ".nxml"),
    Kind("SGML", MARKUP_ADVICE): (".sgml", ".sgm"),
    Kind("XMI", MARKUP_ADVICE): (".xmi",),
    Kind("TEI XML", MARKUP_ADVICE): (".tei",),
    Kind("YAML", MARKUP_ADVICE): (".yaml", ".yml"),
    Kind("LaTeX", MARKUP_ADVICE): (".tex",),
}
_KIND_BY_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}

_KIND_BY_SIGNATURE = {
    b"\x89PNG\r\n\x1a\n": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"GIF8": _PICTURE,
    b"II*\0": _PICTURE,
    b"MM\0*": _PICTURE,
    b"PK\x03\x04": Kind("a zip archive or an office document", "give it its usual ending"),
    b"\x1f\x8b": Kind("a gzip file", "give it its usual ending"),
    b"BZh": Kind("a bzip2 file", "give it its usual ending"),
    b"\xfd7zXZ\x00": Kind("an xz file", "give it its usual ending"),
    b"PAR1": Kind("a Parquet file", "give it its usual ending"),
    b"\xd0\xcf\x11\xe0": Kind("an old or encrypted office file", "save it without a password in the new format"),
}

_MAX_NAMES = 5
"""Files of a kind that are named; of others only the number is given."""


def kind_of_name(path: Path) -> Kind | None:
    """What a file is whose ending says that it cannot be read."""
    return _KIND_BY_SUFFIX.get(path.suffix.lower())


def kind_of_content(head: bytes) -> Kind | None:
    """What a file is that begins with these bytes, if that is not text."""
    return next((kind for signature, kind in _KIND_BY_SIGNATURE.items() if head.startswith(signature)), None)


def warn_of_unread(place: Path, names: Sequence[str]) -> None:
    """Say which files of a folder or an archive are not read, if any."""
    if names:
        warn(f"{place}: not read: {describe(names)}")


def describe(names: Sequence[str]) -> str:
    """Files, their kinds, and what to do about them, on one line."""
    names_by_kind: dict[Kind, list[str]] = {}
    for name in names:
        names_by_kind.setdefault(kind_of_name(Path(name)) or _OTHER, []).append(name)
    return "; ".join(
        f"{', '.join(names[:_MAX_NAMES])}{_more(len(names) - _MAX_NAMES)} ({': '.join(filter(None, kind))})"
        for kind, names in names_by_kind.items()
    )


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""
