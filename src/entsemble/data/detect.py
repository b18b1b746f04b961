"""Which format a file has, told from its name and its first bytes."""

from __future__ import annotations

import io
from pathlib import Path

from entsemble.data import brat
from entsemble.data import tables as table
from entsemble.data.conll import layout as columns
from entsemble.data.source import HEAD_BYTES, Source
from entsemble.errors import DataError

BY_ENDING = {
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


def by_ending(path: Path) -> str | None:
    """The format that a file's name tells, `None` where it tells nothing."""
    if path.name.lower().endswith(brat.ARCHIVES):
        return "brat"
    return BY_ENDING.get(path.suffix.lower())


def of(source: Source) -> str:
    """The format of a file or stream: the content decides between CoNLL, tables, JSON and text.

    Raises:
        DataError: it is binary, or HTML, which is only written.
    """
    named = _named(source.path) if source.path else None
    if named in ("brat", "conll", "jsonl", "parquet", "spacy"):
        return named
    if named == "html":
        raise DataError("HTML is written and not read; give the text itself", source.place)
    lines = _first_lines(source)
    start = "".join(lines).lstrip()[:1]
    if named == "json" or (named != "text" and start in ("{", "[")):
        return _json_kind(lines)
    if named != "csv" and columns.recognise(lines) is not None:
        return "conll"
    if named in ("csv", "tsv"):
        return named
    if named is None and lines and "\t" in lines[0] and table.has_text_header(lines[0], "tsv"):
        return "tsv"
    return "text"


def _named(path: Path) -> str | None:
    """The format that a file's name tells; a text with its annotations beside it is brat."""
    named = by_ending(path)
    return "brat" if named == "text" and path.with_suffix(".ann").exists() else named


def _first_lines(source: Source) -> list[str]:
    head = source.head()
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("this is no text; give a text file", source.place)
    whole = io.BytesIO(head).readlines()
    if len(head) >= HEAD_BYTES and len(whole) > 1:
        whole.pop()
    elif len(head) >= HEAD_BYTES:  # one line longer than what was read: its end may be half a character
        return [head.decode("utf-8", "ignore")]
    lines = [source.decode(raw, i) for i, raw in enumerate(whole, 1)]
    return [line.removeprefix("\ufeff") for line in lines[:1]] + lines[1 : columns.LOOK_AHEAD]


def _json_kind(lines: list[str]) -> str:
    """`jsonl` where the first two filled lines are objects by themselves, or the only one is."""
    filled = [x.strip() for x in lines if x.strip()][:2]
    objects = [x for x in filled if x.startswith("{") and x.endswith("}")]
    return "jsonl" if filled and objects == filled else "json"
