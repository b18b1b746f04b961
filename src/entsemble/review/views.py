"""What the page shows of a session, as plain values, and what has changed in it since a version."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

View = dict[str, Any]
"""Plain values, ready for JSON."""

_COUNTS = (
    "COUNT(CASE WHEN status IN ('proposed', 'accepted', 'changed', 'added') THEN 1 END), "
    "COUNT(CASE WHEN status = 'proposed' THEN 1 END)"
)
_MAX_SNIPPET = 160


def document_summaries(connection: sqlite3.Connection, after: int) -> list[View]:
    """The documents that changed after a version, deleted ones included, in the order in which they were added."""
    query = (
        "SELECT id, name, state, is_deleted, extraction, problem, length(text) FROM documents WHERE version > ? "
        "ORDER BY id"
    )
    rows = connection.execute(query, (after,)).fetchall()
    ids = [row[0] for row in rows]
    mentions = _grouped(connection, f"SELECT document, {_COUNTS} FROM spans", ids)
    columns = "COUNT(*), TOTAL(is_signed), TOTAL(is_extracted)"
    sentences = _grouped(connection, f"SELECT document, {columns} FROM sentences", ids)
    summaries = []
    for document_id, name, state, is_deleted, extraction, problem, length in rows:
        mention_count, undecided = mentions.get(document_id, (0, 0))
        sentence_count, signed, extracted = sentences.get(document_id, (0, 0, 0))
        summaries.append(
            {
                "id": document_id,
                "name": name,
                "state": state,
                "deleted": bool(is_deleted),
                "extraction": extraction,
                "problem": problem,
                "length": length,
                "mentions": mention_count,
                "undecided": undecided,
                "sentences": sentence_count,
                "signed": int(signed),
                "extracted": int(extracted),
            }
        )
    return summaries


def _grouped(connection: sqlite3.Connection, query: str, ids: list[int]) -> dict[int, tuple[int, ...]]:
    """Counts by document: of one, or of all if many changed."""
    if len(ids) == 1:
        rows = connection.execute(f"{query} WHERE document=? GROUP BY document", ids)
    else:
        rows = connection.execute(f"{query} GROUP BY document")
    return {row[0]: row[1:] for row in rows}


def sentence_views(connection: sqlite3.Connection, document: int, after: int, known_span: int) -> list[View]:
    """The sentences of a document that changed after a version, with their spans in text order.

    Args:
        connection: for reading.
        document: its id.
        after: a version; -1 for all sentences.
        known_span: spans with this id or a lower one come without their facts, which never change.
    """
    query = (
        "SELECT number, start, end, is_signed, is_extracted, demonstrations FROM sentences "
        "WHERE document=? AND version > ? ORDER BY number"
    )
    rows = connection.execute(query, (document, after)).fetchall()
    spans = _spans_by_sentence(connection, document, [row[0] for row in rows], known_span)
    return [
        {
            "number": number,
            "start": start,
            "end": end,
            "signed": bool(is_signed),
            "extracted": bool(is_extracted),
            "demonstrations": json.loads(demonstrations) if demonstrations != "[]" else [],
            "spans": spans.get(number, []),
        }
        for number, start, end, is_signed, is_extracted, demonstrations in rows
    ]


def _spans_by_sentence(
    connection: sqlite3.Connection, document: int, numbers: list[int], known_span: int
) -> dict[int, list[View]]:
    condition, values = "document=?", [document]
    if len(numbers) == 1:
        condition, values = "document=? AND sentence=?", [document, *numbers]
    query = (
        "SELECT sentence, id, start, end, label, status, score, CASE WHEN id > ? THEN facts END FROM spans "
        f"WHERE {condition} AND status != 'removed' ORDER BY start, end DESC, id"
    )
    by_sentence: dict[int, list[View]] = {number: [] for number in numbers}
    rows = connection.execute(query, (known_span, *values))
    for sentence, span_id, start, end, label, status, score, facts in rows:
        if sentence in by_sentence:
            span = {"id": span_id, "start": start, "end": end, "label": label, "status": status, "score": score}
            if facts is not None:
                span["facts"] = json.loads(facts)
            by_sentence[sentence].append(span)
    return by_sentence


def uncertain_sentences(connection: sqlite3.Connection, limit: int) -> list[View]:
    """Sentences that are not signed off, with undecided mentions, the one with the least certain mention first."""
    query = (
        "SELECT spans.document, spans.sentence, MIN(COALESCE(spans.score, 1)) AS least, "
        "documents.name, sentences.start, sentences.end "
        "FROM spans JOIN sentences ON sentences.document = spans.document AND sentences.number = spans.sentence "
        "JOIN documents ON documents.id = spans.document "
        "WHERE spans.status = 'proposed' AND NOT sentences.is_signed AND NOT documents.is_deleted "
        "AND documents.state != 'done' "
        "GROUP BY spans.document, spans.sentence ORDER BY least, spans.document, spans.sentence LIMIT ?"
    )
    rows = connection.execute(query, (limit,)).fetchall()
    texts: dict[int, str] = {}  # each read once: SQLite would read a whole text for each of its sentences
    sentences = []
    for document, sentence, least, name, start, end in rows:
        if document not in texts:
            texts[document] = connection.execute("SELECT text FROM documents WHERE id=?", (document,)).fetchone()[0]
        text = texts[document][start:end]
        snippet = text if len(text) <= _MAX_SNIPPET else text[: _MAX_SNIPPET - 1] + "…"
        sentences.append({"document": document, "sentence": sentence, "score": least, "name": name, "text": snippet})
    return sentences


def find_documents(connection: sqlite3.Connection, words: Iterable[str]) -> list[int]:
    """The documents whose names or texts hold all words, in any case."""
    found_ids = {row[0] for row in connection.execute("SELECT id FROM documents WHERE NOT is_deleted")}
    for word in words:
        pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = "SELECT id FROM documents WHERE name LIKE ? ESCAPE '\\' OR text LIKE ? ESCAPE '\\'"
        found_ids &= {row[0] for row in connection.execute(query, (pattern, pattern))}
    return sorted(found_ids)
