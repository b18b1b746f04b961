"""Documents of a session: read from files, completed by extraction, and written again."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from entsemble.data.windows import window_spans
from entsemble.ner.documents import Extracted
from entsemble.ner.ledger import Fate
from entsemble.review.database import next_version
from entsemble.review.edits import NEW
from entsemble.types import Document, Mention, Span
from entsemble.voting.overlaps import are_incompatible

WAITING, CANCELLED, FAILED = "waiting", "cancelled", "failed"
"""States of the extraction of a document; empty if there is nothing to extract."""

_SCORED = ("proposed", "accepted")
"""Statuses of mentions that are as the ensemble proposed them, so that its score and votes are theirs."""

_SPAN_INSERT = (
    "INSERT INTO spans (document, sentence, start, end, label, status, score, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def add_documents(
    connection: sqlite3.Connection, documents: Iterable[Document], language: str, *, is_extracted: bool
) -> list[int]:
    """Add documents; those that are in the session already, by name and text, are left as they are.

    Args:
        connection: in a transaction.
        documents: with their mentions, and their ledger if they have one.
        language: for sentence boundaries.
        is_extracted: whether the mentions are complete; otherwise the documents wait for extraction.

    Returns:
        The ids of the new documents.
    """
    version = next_version(connection)
    added = []
    for document in documents:
        name = _free_name(connection, document)
        if name is None:
            continue
        extraction = "" if is_extracted or not document.text.strip() else WAITING
        row = (name, document.text, _tokens_json(document), _json(dict(document.meta)), NEW, 0, extraction, "", version)
        columns = "(name, text, tokens, meta, state, is_deleted, extraction, problem, version)"
        cursor = connection.execute(f"INSERT INTO documents {columns} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        document_id = cursor.lastrowid or 0
        sentences = window_spans(document, language=language)
        connection.executemany(
            "INSERT INTO sentences VALUES (?, ?, ?, ?, 0, ?, '[]', ?)",
            [
                (document_id, number, span.start, span.end, int(is_extracted), version)
                for number, span in enumerate(sentences)
            ],
        )
        if sentences:
            _add_spans(connection, document_id, document, sentences)
        added.append(document_id)
    return added


def _free_name(connection: sqlite3.Connection, document: Document) -> str | None:
    """The document's id, with a number if another text has it; `None` if the session has the document."""
    name, number = document.id, 1
    while row := connection.execute("SELECT text FROM documents WHERE name=?", (name,)).fetchone():
        if row[0] == document.text:
            return None
        number += 1
        name = f"{document.id} ({number})"
    return name


def _add_spans(connection: sqlite3.Connection, document_id: int, document: Document, sentences: list[Span]) -> None:
    entsemble_meta = document.meta.get("entsemble")
    ledger = entsemble_meta.get("ledger", []) if isinstance(entsemble_meta, Mapping) else []
    entries = [entry for entry in ledger if _is_placed(entry, len(document.text))]
    starts = [sentence.start for sentence in sentences]
    rows = span_rows(document.mentions, entries)
    connection.executemany(_SPAN_INSERT, [(document_id, _sentence_number(starts, row[0]), *row) for row in rows])


def _is_placed(entry: object, length: int) -> bool:
    """Whether an entry of a ledger, which may come from any file, has a range in the text."""
    if not isinstance(entry, Mapping):
        return False
    start, end = entry.get("start"), entry.get("end")
    return type(start) is int and type(end) is int and 0 <= start < end <= length


def _sentence_number(starts: list[int], start: int) -> int:
    return max(0, bisect_right(starts, start) - 1)


def span_rows(
    mentions: Iterable[Mention], entries: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[int, int, str, str, float | None, str]]:
    """Start, end, label, status, score and facts of mentions and of the other candidates in a ledger."""
    by_range: dict[tuple[int, int], Mapping[str, Any]] = {}
    for entry in entries:
        place = entry["start"], entry["end"]
        if place not in by_range or entry.get("fate") == Fate.KEPT.value:
            by_range[place] = entry
    for mention in mentions:
        entry = by_range.pop((mention.start, mention.end), {})
        facts = _facts(entry) | ({"votes": dict(mention.votes)} if mention.votes else {})
        yield mention.start, mention.end, mention.label, "proposed", mention.score, _json(facts)
    for (start, end), entry in by_range.items():
        label, score = entry.get("label"), entry.get("score")
        score = score if isinstance(score, (int, float)) else None
        yield start, end, label if isinstance(label, str) else "", "candidate", score, _json(_facts(entry))


def _facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a ledger says of a span, for the page."""
    return {name: entry[name] for name in ("fate", "members", "detail", "verified") if entry.get(name)}


def store_sentence(connection: sqlite3.Connection, document_id: int, number: int, result: Extracted) -> None:
    """Add what was extracted from a sentence; where the user has marked something in the meantime, that stays."""
    query = "SELECT start, is_signed FROM sentences WHERE document=? AND number=?"
    start, is_signed = connection.execute(query, (document_id, number)).fetchone()
    version = next_version(connection)
    if not is_signed:
        nested = json.loads(connection.execute("SELECT value FROM settings WHERE name='nested'").fetchone()[0])
        query = (
            "SELECT start, end, status IN ('accepted', 'changed', 'added') FROM spans "
            "WHERE document=? AND sentence=? AND status != 'removed'"
        )
        existing = connection.execute(query, (document_id, number)).fetchall()
        verified = {(span.start, span.end): is_confirmed for span, is_confirmed in result.verifications.items()}
        entries = [entry.to_json() for entry in result.ledger if entry.span is not None]
        for entry in entries:
            answer = verified.get((entry["start"], entry["end"]))
            entry["verified"] = "" if answer is None else "yes" if answer else "no"
        for begin, end, label, status, score, facts in span_rows(result.document.mentions, entries):
            place = begin + start, end + start
            if any((row[0], row[1]) == place for row in existing):
                continue
            is_rival = any(row[2] and are_incompatible(Span(*place), Span(*row[:2]), nested=nested) for row in existing)
            row = (document_id, number, *place, label, "candidate" if is_rival else status, score, facts)
            connection.execute(_SPAN_INSERT, row)
    demonstrations = _json([*dict.fromkeys(name for names in result.demonstration_ids for name in names)])
    connection.execute(
        "UPDATE sentences SET is_extracted=1, demonstrations=?, version=? WHERE document=? AND number=?",
        (demonstrations, version, document_id, number),
    )
    connection.execute("UPDATE documents SET version=? WHERE id=?", (version, document_id))


def set_extraction(connection: sqlite3.Connection, document_id: int, state: str, problem: str = "") -> None:
    """Set what the extraction of a document waits for, or why it failed."""
    row = (state, problem, next_version(connection), document_id)
    connection.execute("UPDATE documents SET extraction=?, problem=?, version=? WHERE id=?", row)


def corrected_document(connection: sqlite3.Connection, document_id: int) -> Document:
    """A document with its mentions as they are now."""
    query = "SELECT name, text, tokens, meta FROM documents WHERE id=?"
    name, text, tokens, meta = connection.execute(query, (document_id,)).fetchone()
    mentions = []
    query = (
        "SELECT start, end, label, status, score, facts FROM spans "
        "WHERE document=? AND status IN ('proposed', 'accepted', 'changed', 'added')"
    )
    for start, end, label, status, score, facts in connection.execute(query, (document_id,)):
        is_scored = status in _SCORED
        votes = json.loads(facts).get("votes", {}) if is_scored else {}
        mentions.append(Mention(start, end, label, text[start:end], score if is_scored else None, votes))
    token_spans = tuple(Span(*token) for token in json.loads(tokens))
    return Document(name, text, tuple(mentions), token_spans, json.loads(meta))


def _tokens_json(document: Document) -> str:
    return _json([[token.start, token.end] for token in document.tokens])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
