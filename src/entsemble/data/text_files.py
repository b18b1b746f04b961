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
    """The texts one after another, form feeds between them, and a line end at the end, for a terminal.

    A warning counts the mentions, which are not written.
    """
    last_text = _write_texts(documents, stream)
    if last_text is not None and not last_text.endswith("\n"):
        stream.write("\n")


def _write_texts(documents: Iterable[Document], stream: TextIO) -> str | None:
    """Write texts as they are, with form feeds on lines of their own between them; returns the last text, if any."""
    mention_count, last_text = 0, None
    for document in documents:
        mention_count += len(document.mentions)
        stream.write(("" if last_text is None else _between(last_text)) + document.text)
        last_text = document.text
    _warn_of_mentions(mention_count)
    return last_text


def write_path(documents: Iterable[Document], path: Path) -> None:
    """A text file, or, if the path has no suffix, a folder with a text file for each file or document.

    Raises:
        DataError: two documents have names that differ only in their suffix `.txt`.
    """
    if path.suffix:
        with path.open("w", encoding="utf-8", newline="") as stream:
            _write_texts(documents, stream)
        return
    path.mkdir(exist_ok=True)
    names: dict[Path, str] = {}
    last_texts: dict[Path, str] = {}
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
            stream.write((_between(last_texts[target]) if target in names else "") + document.text)
        names[target], last_texts[target] = name, document.text[-1:]
    _warn_of_mentions(mention_count)


def _relative_path(name: str) -> PurePosixPath:
    parts = [_RESERVED.sub(_escape, part) for part in name.split("/") if part]
    path = PurePosixPath(*(parts or ["text"]))
    return path if path.suffix == ".txt" else path.with_name(f"{path.name}.txt")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{ord(character):02X}" for character in match[0])


def _between(text: str) -> str:
    """What separates a text from the next one."""
    return _SEPARATOR if text.endswith("\n") else f"\n{_SEPARATOR}"


def _warn_of_mentions(mention_count: int) -> None:
    if mention_count:
        noun = "mention is" if mention_count == 1 else "mentions are"
        warn(f"{mention_count:,} {noun} not written, because a plain text has none; write .jsonl to keep them")
