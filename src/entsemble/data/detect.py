"""Detects the format of a file from its name and its first bytes."""

from __future__ import annotations

import io
from pathlib import Path

from entsemble.data import brat, tables
from entsemble.data.conll import layout as conll_layout
from entsemble.data.source import HEAD_BYTES, Source
from entsemble.errors import DataError

FORMAT_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".conll": "conll",
    ".conllu": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".iobes": "conll",
    ".ann": "brat",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".parquet": "parquet",
    ".spacy": "spacy",
}


def format_of_name(path: Path) -> str | None:
    """The format that a file's suffix stands for; `None` if it stands for none."""
    if path.name.lower().endswith(brat.ARCHIVE_SUFFIXES):
        return "brat"
    return FORMAT_BY_SUFFIX.get(path.suffix.lower())


def detect_format(source: Source) -> str:
    """The format of a file or stream. Its content distinguishes CoNLL, tables, JSON and plain text.

    Raises:
        DataError: it is binary, or HTML, which can only be written.
    """
    suffix_format = _format_of_file(source.path) if source.path else None
    if suffix_format in ("brat", "conll", "jsonl", "parquet", "spacy"):
        return suffix_format
    if suffix_format == "html":
        raise DataError("HTML can be written but not read; give a text file", source.place)
    lines = _first_lines(source)
    first_character = "".join(lines).lstrip()[:1]
    if suffix_format == "json" or (suffix_format != "text" and first_character in ("{", "[")):
        return _json_format(lines)
    if suffix_format != "csv" and conll_layout.detect_columns(lines) is not None:
        return "conll"
    if suffix_format in ("csv", "tsv"):
        return suffix_format
    if suffix_format is None and lines and "\t" in lines[0] and tables.has_text_header(lines[0], "tsv"):
        return "tsv"
    return "text"


def _format_of_file(path: Path) -> str | None:
    """The format of the file's suffix; brat for a text with an annotation file next to it."""
    suffix_format = format_of_name(path)
    return "brat" if suffix_format == "text" and path.with_suffix(".ann").exists() else suffix_format


def _first_lines(source: Source) -> list[str]:
    head = source.head()
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("this is not a text file; give a text file", source.place)
    raw_lines = io.BytesIO(head).readlines()
    if len(head) >= HEAD_BYTES and len(raw_lines) > 1:
        raw_lines.pop()
    elif len(head) >= HEAD_BYTES:  # one line longer than the head, whose last character may be incomplete
        return [head.decode("utf-8", "ignore")]
    lines = [source.decode(raw_line, line_number) for line_number, raw_line in enumerate(raw_lines, 1)]
    return [line.removeprefix("\ufeff") for line in lines[:1]] + lines[1 : conll_layout.LOOK_AHEAD]


def _json_format(lines: list[str]) -> str:
    """`jsonl` if each of the first two non-blank lines is an object of its own; otherwise `json`."""
    first_lines = [line.strip() for line in lines if line.strip()][:2]
    objects = [line for line in first_lines if line.startswith("{") and line.endswith("}")]
    return "jsonl" if first_lines and objects == first_lines else "json"
