"""A draft of an edit: reads and changes a session's rows within one transaction, and records what it changes."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from entsemble.review.edits import (
    ACTIVE,
    IN_WORK,
    NEW,
    Changes,
    DocumentState,
    Place,
    RefusedEditError,
    SpanRow,
    SpanState,
    mark_version,
    write_rows,
)
from entsemble.types import Span
from entsemble.voting.overlaps import are_incompatible

SPAN_COLUMNS = "id, document, sentence, start, end, label, status, score"
_ACTIVE_LIST = ", ".join(f"'{status}'" for status in ACTIVE)


class Draft:
    """Rows of a session as they will be after an edit.

    Args:
        connection: in a transaction.
        nested: whether mentions may lie inside one another.

    Attributes:
        changes: what has changed so far.
        place: where the page goes after the edit.
    """

    def __init__(self, connection: sqlite3.Connection, *, nested: bool) -> None:
        self._connection, self.nested = connection, nested
        self.changes, self.place = Changes(), Place()
        self._in_work: set[int] = set()

    def span(self, span_id: int) -> SpanRow:
        """A span.

        Raises:
            RefusedEditError: there is none.
        """
        row = self._connection.execute(f"SELECT {SPAN_COLUMNS} FROM spans WHERE id=?", (span_id,)).fetchone()
        if row is None:
            raise RefusedEditError("this mention is gone; reload the page")
        return SpanRow(*row)

    def spans(self, document: int, condition: str = "TRUE", *values: object) -> list[SpanRow]:
        """The spans of a document that meet a condition, in text order."""
        query = f"SELECT {SPAN_COLUMNS} FROM spans WHERE document=? AND {condition} ORDER BY start, end DESC, id"
        return [SpanRow(*row) for row in self._connection.execute(query, (document, *values))]

    def spans_by_document(self, documents: Sequence[int]) -> Mapping[int, list[SpanRow]]:
        """The spans of documents that are not removed, in text order; documents that have none are left out."""
        query = (
            f"SELECT {SPAN_COLUMNS} FROM spans WHERE document IN (SELECT value FROM json_each(?)) "
            "AND status != 'removed' ORDER BY document, start, end DESC, id"
        )
        rows = self._connection.execute(query, (json.dumps(documents),))
        spans = (SpanRow(*row) for row in rows)
        return {document: list(group) for document, group in groupby(spans, lambda row: row.document)}

    def mentions(self, document: int, sentence: int | None = None) -> list[SpanRow]:
        """The mentions of a document, or of one sentence."""
        condition = f"status IN ({_ACTIVE_LIST})"
        if sentence is None:
            return self.spans(document, condition)
        return self.spans(document, f"sentence=? AND {condition}", sentence)

    def text(self, document: int) -> str:
        """The text of a document.

        Raises:
            RefusedEditError: there is no such document.
        """
        row = self._connection.execute("SELECT text FROM documents WHERE id=?", (document,)).fetchone()
        if row is None:
            raise RefusedEditError("there is no such document; reload the page")
        return str(row[0])

    def document_state(self, document: int) -> DocumentState:
        """State, and whether it is deleted; raises as `text` does."""
        query = "SELECT state, is_deleted FROM documents WHERE id=?"
        row = self._connection.execute(query, (document,)).fetchone()
        if row is None:
            raise RefusedEditError("there is no such document; reload the page")
        return row[0], row[1]

    def documents(self) -> list[int]:
        """The documents that are not deleted."""
        return [row[0] for row in self._connection.execute("SELECT id FROM documents WHERE NOT is_deleted ORDER BY id")]

    def documents_with(self, surface: str) -> list[tuple[int, str]]:
        """The documents whose texts hold the characters, with their texts."""
        query = "SELECT id, text FROM documents WHERE NOT is_deleted AND instr(text, ?) ORDER BY id"
        return self._connection.execute(query, (surface,)).fetchall()

    def sentence_states(self, document: int) -> list[tuple[int, int]]:
        """Number of each sentence, and whether it is signed off."""
        query = "SELECT number, is_signed FROM sentences WHERE document=? ORDER BY number"
        return self._connection.execute(query, (document,)).fetchall()

    def change_span(self, row: SpanRow, **values: Any) -> None:  # noqa: ANN401 - columns
        """Change start, end, label or status of a span."""
        start, end = values.get("start", row.start), values.get("end", row.end)
        sentence = self.sentence_at(row.document, start) if start != row.start else row.sentence
        state = (sentence, start, end, values.get("label", row.label), values.get("status", row.status))
        self.change_spans([(row, state)])

    def change_spans(self, states: Sequence[tuple[SpanRow, SpanState]]) -> None:
        """Give spans other states, all at once: an edit may change thousands."""
        changed = {row.id: (row.state, state) for row, state in states if row.state != state}
        if changed:
            self._apply(Changes(spans=changed), {row.document for row, _ in states if row.id in changed})
        if states:
            row, state = states[-1]
            self.place = Place(row.document, state[0], row.id)

    def add_spans(self, spans: Mapping[int, Sequence[Span]], label: str, status: str) -> None:
        """Add spans: document -> at least one span; raises as `sentence_at` does."""
        [last_id] = self._connection.execute("SELECT COALESCE(MAX(id), 0) FROM spans").fetchone()
        rows: list[tuple[Any, ...]] = []
        for document, starts, numbers in self._sentence_starts(list(spans)):
            for span_id, span in enumerate(spans[document], last_id + len(rows) + 1):
                start, end = span.start, span.end
                sentence = numbers[max(0, bisect_right(starts, start) - 1)]
                rows.append((span_id, document, sentence, start, end, label, status))
                self.changes.spans[span_id] = (
                    (sentence, start, end, label, "removed"),
                    (sentence, start, end, label, status),
                )
        if rows:
            span_id, document, sentence, *_ = rows[-1]
            self.place = Place(document, sentence, span_id)
        columns = "(id, document, sentence, start, end, label, status, facts)"
        self._connection.executemany(f"INSERT INTO spans {columns} VALUES (?, ?, ?, ?, ?, ?, ?, '{{}}')", rows)
        self._start_work(spans)

    def reject_rivals(self, document: int, start: int, end: int, kept_id: int | None = None) -> int:
        """Reject the mentions that cannot stand beside a mention at these offsets; returns how many there were."""
        rivals = [row for row in self.rivals(document, start, end) if row.id != kept_id]
        place = self.place
        self.change_spans([(row, row.with_status("rejected")) for row in rivals])
        self.place = place
        return len(rivals)

    def rivals(self, document: int, start: int, end: int) -> list[SpanRow]:
        """The mentions that cannot stand beside a mention at these offsets."""
        overlapping = self.spans(document, f"start < ? AND end > ? AND status IN ({_ACTIVE_LIST})", end, start)
        return self.incompatible(overlapping, Span(start, end))

    def incompatible(self, rows: Iterable[SpanRow], span: Span) -> list[SpanRow]:
        """Those of some mentions that cannot stand beside a mention at a span."""
        return [row for row in rows if are_incompatible(span, Span(row.start, row.end), nested=self.nested)]

    def sentence_at(self, document: int, start: int) -> int:
        """The number of the sentence that a span with this start belongs to.

        Raises:
            RefusedEditError: the document has no sentences.
        """
        query = "SELECT number FROM sentences WHERE document=? AND start<=? ORDER BY start DESC LIMIT 1"
        row = self._connection.execute(query, (document, start)).fetchone()
        if row is not None:
            return int(row[0])
        if not self.sentence_states(document):
            raise RefusedEditError("the text is blank; there is nothing to mark")
        return 0

    def _sentence_starts(self, documents: Sequence[int]) -> Iterator[tuple[int, list[int], list[int]]]:
        """Of each document, the starts and numbers of its sentences; raises as `sentence_at` does."""
        query = (
            "SELECT document, start, number FROM sentences WHERE document IN (SELECT value FROM json_each(?)) "
            "ORDER BY document, number"
        )
        rows = self._connection.execute(query, (json.dumps(documents),)).fetchall()
        grouped = {document: list(group) for document, group in groupby(rows, key=lambda row: row[0])}
        for document in documents:
            if document not in grouped:
                raise RefusedEditError("the text is blank; there is nothing to mark")
            yield document, [row[1] for row in grouped[document]], [row[2] for row in grouped[document]]

    def sign(self, document: int, number: int, *, is_signed: bool) -> None:
        """Sign off a sentence, or take the signature back."""
        row = self._connection.execute(
            "SELECT is_signed FROM sentences WHERE document=? AND number=?", (document, number)
        ).fetchone()
        if row is None:
            raise RefusedEditError("there is no such sentence; reload the page")
        if bool(row[0]) != is_signed:
            self._apply(Changes(sentences={(document, number): (row[0], int(is_signed))}), [document])
        self.place = Place(document, number)

    def sign_documents(self, documents: Sequence[int]) -> None:
        """Sign off all sentences of documents."""
        query = (
            "SELECT document, number FROM sentences WHERE document IN (SELECT value FROM json_each(?)) "
            "AND NOT is_signed ORDER BY document, number"
        )
        keys = self._connection.execute(query, (json.dumps(documents),)).fetchall()
        self._apply(Changes(sentences=dict.fromkeys(keys, (0, 1))), dict.fromkeys(document for document, _ in keys))

    def set_document(self, document: int, *, state: str | None = None, is_deleted: bool | None = None) -> None:
        """Change the state of a document, or delete it."""
        before = self.document_state(document)
        after = (state or before[0], before[1] if is_deleted is None else int(is_deleted))
        if after != before:
            self._apply(Changes(documents={document: (before, after)}))
        self.place = Place(document)

    def set_setting(self, name: str, after: object) -> None:
        """Change a setting of the session."""
        [value] = self._connection.execute("SELECT value FROM settings WHERE name=?", (name,)).fetchone()
        before = json.loads(value)
        if before != after:
            self._apply(Changes(settings={name: (before, after)}))

    def finish(self) -> None:
        """Mark what has changed; nothing is changed after this."""
        mark_version(self._connection, self.changes)

    def surfaces(self, rows: Sequence[SpanRow]) -> Mapping[int, str]:
        """The texts of spans, by their ids."""
        texts: dict[int, str] = {}
        for row in rows:
            texts.setdefault(row.document, self.text(row.document))
        return {row.id: texts[row.document][row.start : row.end] for row in rows}

    def _apply(self, changes: Changes, edited: Iterable[int] = ()) -> None:
        """Write changes and remember them; the edited documents are in work from then on."""
        self._start_work(edited)
        write_rows(self._connection, changes)
        for collected, latest in (
            (self.changes.spans, changes.spans),
            (self.changes.sentences, changes.sentences),
            (self.changes.documents, changes.documents),
            (self.changes.settings, changes.settings),
        ):
            _merge(collected, latest)

    def _start_work(self, documents: Iterable[int]) -> None:
        """New documents that are edited are in work from then on."""
        edited = [document for document in documents if document not in self._in_work]
        if not edited:
            return
        self._in_work.update(edited)
        query = f"SELECT id, is_deleted FROM documents WHERE state='{NEW}' AND id IN (SELECT value FROM json_each(?))"
        rows = self._connection.execute(query, (json.dumps(edited),)).fetchall()
        started = {document: ((NEW, is_deleted), (IN_WORK, is_deleted)) for document, is_deleted in rows}
        self._apply(Changes(documents=started))


def _merge(collected: dict[Any, tuple[Any, Any]], latest: Mapping[Any, tuple[Any, Any]]) -> None:
    for key, (before, after) in latest.items():
        first = collected[key][0] if key in collected else before
        collected[key] = first, after
