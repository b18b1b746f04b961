"""Edits: changes of a session's rows with the state before and after, so that each can be undone and redone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from entsemble.review.database import next_version, set_setting

Status = Literal["proposed", "accepted", "changed", "added", "candidate", "rejected", "removed"]
"""What became of a span: `candidate` was rejected by the ensemble, `rejected` by the user; `removed` was undone."""

ACTIVE = ("proposed", "accepted", "changed", "added")
"""The statuses of mentions."""

NEW, IN_WORK, DONE = "new", "work", "done"

SpanState = tuple[int, int, int, str, str]
"""Sentence, start, end, label and status."""

DocumentState = tuple[str, int]
"""State, and whether it is deleted."""


class RefusedEditError(ValueError):
    """An edit that makes no sense; the message is written for users."""


class SpanRow(NamedTuple):
    """A span of a document that is, was or may become a mention."""

    id: int
    document: int
    sentence: int
    start: int
    end: int
    label: str
    status: str
    score: float | None

    @property
    def state(self) -> SpanState:
        """What edits change."""
        return self[2:7]

    def with_status(self, status: str) -> SpanState:
        """Its state with another status."""
        return self.sentence, self.start, self.end, self.label, status

    @property
    def is_active(self) -> bool:
        """Whether it is a mention."""
        return self.status in ACTIVE


@dataclass(frozen=True, slots=True)
class Place:
    """Where an edit was made, for the page to show."""

    document: int | None = None
    sentence: int | None = None
    span: int | None = None


@dataclass(slots=True)
class Changes:
    """The rows of an edit: key -> the state before and after."""

    spans: dict[int, tuple[SpanState, SpanState]] = field(default_factory=dict)
    sentences: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    documents: dict[int, tuple[DocumentState, DocumentState]] = field(default_factory=dict)
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.spans or self.sentences or self.documents or self.settings)

    def reversed(self) -> Changes:
        """The changes that undo these."""
        return Changes(
            {key: (after, before) for key, (before, after) in self.spans.items()},
            {key: (after, before) for key, (before, after) in self.sentences.items()},
            {key: (after, before) for key, (before, after) in self.documents.items()},
            {key: (after, before) for key, (before, after) in self.settings.items()},
        )

    def to_json(self) -> str:
        """As a line of the log."""
        rows = {
            "spans": [[key, *states] for key, states in self.spans.items()],
            "sentences": [[*key, *states] for key, states in self.sentences.items()],
            "documents": [[key, *states] for key, states in self.documents.items()],
            "settings": [[key, *states] for key, states in self.settings.items()],
        }
        return json.dumps(rows, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Changes:
        """The changes of a line of the log."""
        rows = json.loads(line)
        return cls(
            {key: (tuple(before), tuple(after)) for key, before, after in rows["spans"]},
            {(document, number): (before, after) for document, number, before, after in rows["sentences"]},
            {key: (tuple(before), tuple(after)) for key, before, after in rows["documents"]},
            {key: (before, after) for key, before, after in rows["settings"]},
        )


def write_rows(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write the state after the changes."""
    moved = [(*after[:3], key) for key, (before, after) in changes.spans.items() if before[:3] != after[:3]]
    connection.executemany("UPDATE spans SET sentence=?, start=?, end=? WHERE id=?", moved)
    marked = [(*after[3:], key) for key, (before, after) in changes.spans.items() if before[3:] != after[3:]]
    connection.executemany("UPDATE spans SET label=?, status=? WHERE id=?", marked)
    sentences = [(is_signed, *key) for key, (_, is_signed) in changes.sentences.items()]
    connection.executemany("UPDATE sentences SET is_signed=? WHERE document=? AND number=?", sentences)
    documents = [(*state, key) for key, (_, state) in changes.documents.items()]
    connection.executemany("UPDATE documents SET state=?, is_deleted=? WHERE id=?", documents)
    for name, (_, value) in changes.settings.items():
        set_setting(connection, name, value)


def mark_version(connection: sqlite3.Connection, changes: Changes) -> None:
    """Mark all that the changes touch with a new version, so that the page learns of it."""
    version = next_version(connection)
    if changes.settings:
        set_setting(connection, "settings_version", version)
    owners = _owners(connection, changes)
    sentences = set(changes.sentences)
    for span_id, states in changes.spans.items():
        sentences |= {(owners[span_id], state[0]) for state in states}
    connection.executemany(
        "UPDATE sentences SET version=? WHERE document=? AND number=?", [(version, *key) for key in sentences]
    )
    documents = set(changes.documents) | {document for document, _ in sentences}
    connection.executemany("UPDATE documents SET version=? WHERE id=?", [(version, key) for key in documents])


def _owners(connection: sqlite3.Connection, changes: Changes) -> Mapping[int, int]:
    """The documents of the spans that change."""
    query = "SELECT id, document FROM spans WHERE id IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(query, (json.dumps(list(changes.spans)),)).fetchall())


class History:
    """The log of edits, which only grows; undoing and redoing are entries of their own."""

    def __init__(self) -> None:
        self._last_number = 0
        self._undoable: list[int] = []
        self._redoable: list[int] = []

    def record(
        self,
        connection: sqlite3.Connection,
        action: str,
        changes: Changes,
        place: Place,
        kind: Literal["edit", "undo", "redo"] = "edit",
        target: int | None = None,
    ) -> None:
        """Append an entry."""
        row = (action, kind, target, changes.to_json(), json.dumps([place.document, place.sentence, place.span]))
        connection.execute("INSERT INTO edits (action, kind, target, changes, place) VALUES (?, ?, ?, ?, ?)", row)

    def undo(self, connection: sqlite3.Connection) -> tuple[str, Place]:
        """Undo the last edit that is not undone; returns its action and place.

        Raises:
            RefusedEditError: there is none.
        """
        self.refresh(connection)
        if not self._undoable:
            raise RefusedEditError("there is nothing to undo")
        return self._repeat(connection, self._undoable[-1], "undo")

    def redo(self, connection: sqlite3.Connection) -> tuple[str, Place]:
        """Redo the edit that was undone last; returns its action and place.

        Raises:
            RefusedEditError: there is none, or something was edited since.
        """
        self.refresh(connection)
        if not self._redoable:
            raise RefusedEditError("there is nothing to redo")
        return self._repeat(connection, self._redoable[-1], "redo")

    def next_actions(self, connection: sqlite3.Connection) -> tuple[str, str]:
        """The actions that undo and redo would apply to; empty if there is none."""
        self.refresh(connection)
        names = []
        for numbers in (self._undoable, self._redoable):
            row = numbers and connection.execute("SELECT action FROM edits WHERE number=?", numbers[-1:]).fetchone()
            names.append(row[0] if row else "")
        return names[0], names[1]

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read what this or another process has appended."""
        query = "SELECT number, kind, target FROM edits WHERE number > ? ORDER BY number"
        for number, kind, target in connection.execute(query, (self._last_number,)):
            if kind == "edit":
                self._undoable.append(number)
                self._redoable.clear()
            else:
                source, destination = self._undoable, self._redoable
                if kind == "redo":
                    source, destination = destination, source
                source.remove(target)
                destination.append(target)
            self._last_number = number

    def _repeat(self, connection: sqlite3.Connection, number: int, kind: Literal["undo", "redo"]) -> tuple[str, Place]:
        query = "SELECT action, changes, place FROM edits WHERE number=?"
        action, line, place_line = connection.execute(query, (number,)).fetchone()
        recorded = Changes.from_json(line)
        changes = recorded.reversed() if kind == "undo" else recorded
        place = Place(*json.loads(place_line))
        write_rows(connection, changes)
        mark_version(connection, changes)
        self.record(connection, action, changes, place, kind, number)
        return action, place
