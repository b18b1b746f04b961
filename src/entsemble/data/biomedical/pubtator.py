"""PubTator: a title, an abstract and annotations on lines for each document, with blank lines between documents.

Offsets count in the title, a space, and the abstract, which we join by a line end. The ids of concepts and relations
are kept in `meta`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from entsemble.data.biomedical.passages import INFONS_KEY, Annotation, Passage, to_record
from entsemble.data.jsonl import from_json
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document, Mention

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
_IDENTIFIER, _INDIVIDUAL_MENTIONS = "identifier", "individual mentions"
_SYNTAX = "a title such as '1|t|Words', an abstract such as '1|a|Words', or TABs: id, start, end, words, label"
_UNSAFE_IN_ID = re.compile(r"[|\t\r\n]|^\s|\s$")
_UNSAFE_IN_CELL = re.compile(r"[\t\r\n]")
_LINE_END = re.compile(r"[\r\n]")
_OFFSET = re.compile("[0-9]{1,15}")


class _Entry:
    """The lines of a document.

    Attributes:
        line: that of the title or the abstract, whichever is first.
        texts: by `t` or `a`.
    """

    def __init__(self, document_id: str, line: int) -> None:
        self.document_id, self.line = document_id, line
        self.texts: dict[str, str] = {}
        self.annotations: list[Annotation] = []
        self.relations: list[list[str]] = []

    def add_text(self, part: str, text: str) -> None:
        """Add the title or the abstract."""
        if part in self.texts:
            raise DataError(f"the document {self.document_id!r} has a second line |{part}|; correct one of the ids")
        self.texts[part] = text

    def add_row(self, cells: list[str]) -> None:
        """Add an annotation, or a relation, whose second cell is no number."""
        if len(cells) < 2 or cells[0].strip() != self.document_id:
            raise DataError(f"this is no line of the document {self.document_id!r}; a line is {_SYNTAX}")
        if not _OFFSET.fullmatch(cells[1]):
            self.relations.append(cells[1:])
            return
        if len(cells) < 5 or not _OFFSET.fullmatch(cells[2]):
            raise DataError(f"this is no annotation; a line is {_SYNTAX}")
        keys = (_IDENTIFIER, _INDIVIDUAL_MENTIONS)
        infons: dict[str, Any] = {key: cell for key, cell in zip(keys, cells[5:], strict=False) if cell.strip()}
        if cells[7:]:
            infons["other"] = cells[7:]
        self.annotations.append(Annotation(cells[4], [(int(cells[1]), int(cells[2]))], cells[3], infons))

    def to_document(self, options: ReadOptions) -> Document:
        """The document of all lines."""
        parts = [self.texts[part] for part in "ta" if self.texts.get(part)]
        if len(parts) == 1 and not self.texts.get("t") and "t" in self.texts:
            parts = ["", *parts]
        passage = Passage("\n".join(parts), 0, self.annotations)
        meta = {"relations": self.relations} if self.relations else {}
        return from_json({"id": self.document_id, **to_record([passage], meta, options.discontinuous)}, "")


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The documents of a file, one at a time.

    Raises:
        DataError: a line is none of PubTator's, or an annotation is not at its offsets.
    """
    entry: _Entry | None = None
    for line_number, raw_line in source.lines():
        line = raw_line.rstrip("\r\n")
        text = _TEXT.fullmatch(line)
        if not line.strip():
            continue
        try:
            if text and (entry is None or text[1].strip() != entry.document_id):
                if entry is not None:
                    yield _document(entry, source, options)
                entry = _Entry(text[1].strip(), line_number)
            if entry is None:
                raise DataError(f"this is not PubTator, in which a line is {_SYNTAX}")
            if text:
                entry.add_text(text[2], text[3])
            else:
                entry.add_row(line.split("\t"))
        except DataError as error:
            raise DataError(error.problem, source.place, error.line or line_number) from error
    if entry is not None:
        yield _document(entry, source, options)


def _document(entry: _Entry, source: Source, options: ReadOptions) -> Document:
    try:
        return entry.to_document(options)
    except DataError as error:
        raise DataError(f"document {entry.document_id!r}: {error.problem}", source.place, entry.line) from error


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """Each document with its first line as title and the rest as abstract, in which a line end becomes a space.

    Ids of concepts are written where `meta` has them as BioC and PubTator do; other meta are not. A warning counts the
    documents whose text is not the same when it is read back.

    Raises:
        DataError: an id or a label has a character that separates cells or lines.
    """
    changed_count = lost_count = 0
    for document in documents:
        if not document.id or _UNSAFE_IN_ID.search(document.id):
            raise DataError(f"PubTator cannot store the id {document.id!r}; give one without |, TABs and line ends")
        title, separator, abstract = document.text.partition("\n")
        lines = [f"{document.id}|t|{_LINE_END.sub(' ', title)}", f"{document.id}|a|{_LINE_END.sub(' ', abstract)}"]
        changed_count += bool(_LINE_END.search(title + abstract)) or (bool(separator) and not abstract)
        identifiers = _identifiers(document)
        lines += [_row(document.id, mention, identifiers) for mention in document.mentions]
        lost_count += any(key != INFONS_KEY for key in document.meta)
        stream.write("\n".join(lines) + "\n\n")
    if changed_count:
        noun = "text is" if changed_count == 1 else "texts are"
        warn(f"{changed_count:,} {noun} not quite the same when read back, because PubTator stores one line end only")
    if lost_count:
        noun = "document has" if lost_count == 1 else "documents have"
        warn(f"{lost_count:,} {noun} meta, which PubTator does not store; write JSON Lines to keep them")


def _identifiers(document: Document) -> dict[tuple[Any, ...], list[str]]:
    """Start, end and label -> the cells after them."""
    entries = document.meta.get(INFONS_KEY)
    cells: dict[tuple[Any, ...], list[str]] = {}
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        infons = entry.get("infons") if isinstance(entry, dict) else None
        if isinstance(infons, dict) and isinstance(infons.get(_IDENTIFIER), str):
            values = [infons[_IDENTIFIER], infons.get(_INDIVIDUAL_MENTIONS)]
            key = (entry.get("start"), entry.get("end"), entry.get("label"))
            cells[key] = [_UNSAFE_IN_CELL.sub(" ", value) for value in values if isinstance(value, str)]
    return cells


def _row(document_id: str, mention: Mention, identifiers: dict[tuple[Any, ...], list[str]]) -> str:
    if _UNSAFE_IN_CELL.search(mention.label):
        raise DataError(f"PubTator cannot store the label {mention.label!r}; rename it, without TABs and line ends")
    cells = [document_id, str(mention.start), str(mention.end), _UNSAFE_IN_CELL.sub(" ", mention.text), mention.label]
    return "\t".join(cells + identifiers.get((mention.start, mention.end, mention.label), [""]))
