"""Texts as files: all in one, or a folder with one for each file that they were read from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TextIO

from entsemble.errors import DataError, warn
from entsemble.types import Document

_SEPARATOR = "\f\n"
"""Between texts in a file; form feeds separate pages, as in what other programs make of PDFs."""

_RESERVED = re.compile(r'[<>:"\\|?*\x00-\x1f%]|^\.+$|^\.')
"""What some system does not allow in file names, and names that hide a file or leave the folder."""


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """The texts one after another, form feeds between them; a warning counts the mentions, which are not written."""
    mention_count = 0
    for index, document in enumerate(documents):
        mention_count += len(document.mentions)
        stream.write(_SEPARATOR * (index > 0) + _ended(document.text))
    _warn_of_mentions(mention_count)


def write_path(documents: Iterable[Document], path: Path) -> None:
    """A text file, or, if the path has no suffix, a folder with a text file for each file or document.

    Raises:
        DataError: two documents have names that differ only in their suffix `.txt`.
    """
    if path.suffix:
        with path.open("w", encoding="utf-8", newline="") as stream:
            write(documents, stream)
        return
    path.mkdir(exist_ok=True)
    names: dict[Path, str] = {}
    mention_count = 0
    for document in documents:
        mention_count += len(document.mentions)
        name = str(document.meta.get("file") or document.id)
        target = path / _relative_path(name)
        if names.get(target, name) != name:
            problem = f"{names[target]!r} and {name!r} would both be written to {target.name}; rename one of them"
            raise DataError(problem)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8", newline="") as stream:
            stream.write(_SEPARATOR * (target in names) + _ended(document.text))
        names[target] = name
    _warn_of_mentions(mention_count)


def _relative_path(name: str) -> PurePosixPath:
    parts = [_RESERVED.sub(_escape, part) for part in name.split("/") if part]
    path = PurePosixPath(*(parts or ["text"]))
    return path if path.suffix == ".txt" else path.with_name(f"{path.name}.txt")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{ord(character):02X}" for character in match[0])


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _warn_of_mentions(mention_count: int) -> None:
    if mention_count:
        noun = "mention is" if mention_count == 1 else "mentions are"
        warn(f"{mention_count:,} {noun} not written, because a plain text has none; write .jsonl to keep them")
