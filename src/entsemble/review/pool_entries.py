"""The sentences of a session that belong into the pool: those that are signed off, as they are now."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from entsemble._lib.text import same_text_key
from entsemble.data.jsonl import from_json, to_json
from entsemble.data.windows import split_at
from entsemble.review.database import Database, set_setting
from entsemble.review.documents import corrected_document
from entsemble.types import Document, Span

Key = tuple[int, int, int]
"""Document, start and end of a sentence."""


class Pool(Protocol):
    """Where annotated sentences are kept; see `server.pool_file.PoolFile`."""

    def snapshot(self) -> tuple[int, tuple[Document, ...]]:
        """The version and the documents."""
        ...

    def replace(self, added: Iterable[Document], removed_ids: Iterable[str]) -> list[Document]:
        """Remove documents, then add others; returns the added ones with their ids."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """A sentence as it was written to the pool.

    Attributes:
        digest: of its text and mentions.
        pool_id: the document's id in the pool.
        previous: the pool's own document with this text, which it replaced, as JSON; empty if there was none.
    """

    digest: str
    pool_id: str
    previous: str


def write_entries(database: Database, pool: Pool) -> int:
    """Bring the pool up to date: what was signed off is added or corrected, what is no longer is taken back.

    What users do to the pool by other means stays: only sentences that changed in the session are written.

    Args:
        database: a connection that nobody waits for.
        pool: where they are written.

    Returns:
        How many entries of the pool changed.

    Raises:
        DataError: the pool cannot be written.
    """
    wanted: dict[Key, Document] = {}
    recorded: dict[Key, _Entry] = {}
    with database.reading() as connection:
        version = int(database.setting("version"))
        query = (
            "SELECT id FROM documents WHERE version > ? AND (id IN (SELECT document FROM sentences WHERE is_signed) "
            "OR id IN (SELECT document FROM pool_entries))"
        )
        for (document_id,) in connection.execute(query, (int(database.setting("pool_version")),)).fetchall():
            wanted |= _signed_parts(connection, document_id)
            recorded |= _recorded_entries(connection, document_id)
        query = "SELECT pool_id FROM pool_entries JOIN documents ON id = document WHERE version <= ?"
        unchanged_ids = {row[0] for row in connection.execute(query, (int(database.setting("pool_version")),))}
    added = {key: part for key, part in wanted.items() if key not in recorded or recorded[key].digest != _digest(part)}
    withdrawn = {key: entry for key, entry in recorded.items() if key not in wanted}
    rows = _exchange(pool, added, withdrawn, recorded, unchanged_ids) if added or withdrawn else []
    with database.writing() as connection:
        connection.executemany("DELETE FROM pool_entries WHERE document=? AND start=? AND end=?", list(withdrawn))
        connection.executemany("INSERT OR REPLACE INTO pool_entries VALUES (?, ?, ?, ?, ?, ?)", rows)
        set_setting(connection, "pool_version", version)
    return len(added) + len(withdrawn)


def count_entries(connection: sqlite3.Connection) -> int:
    """Sentences of the session that are in the pool."""
    return int(connection.execute("SELECT COUNT(*) FROM pool_entries").fetchone()[0])


def _signed_parts(connection: sqlite3.Connection, document_id: int) -> dict[Key, Document]:
    """The parts of a document whose sentences are all signed off, as documents of their own."""
    query = "SELECT is_deleted FROM documents WHERE id=?"
    if connection.execute(query, (document_id,)).fetchone()[0]:
        return {}
    query = "SELECT start, end, is_signed FROM sentences WHERE document=? ORDER BY number"
    rows = connection.execute(query, (document_id,)).fetchall()
    if not any(is_signed for _, _, is_signed in rows):
        return {}
    document = corrected_document(connection, document_id)
    unsigned_starts = [start for start, _, is_signed in rows if not is_signed]
    parts: dict[Key, Document] = {}
    for part in split_at(document, [Span(start, end) for start, end, _ in rows]):
        is_whole = part.id == document.id
        start = rows[0][0] if is_whole else int(part.id.removeprefix(f"{document.id}#"))
        end = start + len(part.text)
        if bisect_left(unsigned_starts, start) == bisect_left(unsigned_starts, end):
            parts[document_id, start, end] = part
    return parts


def _recorded_entries(connection: sqlite3.Connection, document_id: int) -> dict[Key, _Entry]:
    query = "SELECT start, end, digest, pool_id, previous FROM pool_entries WHERE document=?"
    rows = connection.execute(query, (document_id,))
    return {(document_id, start, end): _Entry(*values) for start, end, *values in rows}


def _exchange(
    pool: Pool,
    added: Mapping[Key, Document],
    withdrawn: Mapping[Key, _Entry],
    recorded: Mapping[Key, _Entry],
    unchanged_ids: set[str],
) -> list[tuple[object, ...]]:
    """Change the pool; returns the rows of the added entries.

    Args:
        pool: to be changed.
        added: sentences to add or correct.
        withdrawn: entries to take back; what they had replaced comes back.
        recorded: entries of the documents that changed.
        unchanged_ids: ids in the pool of the entries of the other documents.
    """
    withdrawn_ids = {entry.pool_id for entry in withdrawn.values()}
    shared_ids = unchanged_ids | {entry.pool_id for key, entry in recorded.items() if key not in withdrawn}
    previous = _previous_documents(pool, shared_ids | withdrawn_ids)
    restored = [
        from_json(json.loads(entry.previous), entry.pool_id)
        for entry in withdrawn.values()
        if entry.previous and entry.pool_id not in shared_ids
    ]
    stored = pool.replace([*restored, *added.values()], withdrawn_ids - shared_ids)
    rows: list[tuple[object, ...]] = []
    for (key, part), pool_document in zip(added.items(), stored[len(restored) :], strict=True):
        before = recorded[key].previous if key in recorded else previous(part)
        rows.append((*key, _digest(part), pool_document.id, before))
    return rows


def _previous_documents(pool: Pool, session_ids: set[str]) -> Callable[[Document], str]:
    """A function from a text to the pool's own document with this text, as JSON; empty if there is none."""
    _, documents = pool.snapshot()
    by_text = {same_text_key(document.text): document for document in documents if document.id not in session_ids}

    def previous(part: Document) -> str:
        document = by_text.get(same_text_key(part.text))
        return "" if document is None else json.dumps(to_json(document), ensure_ascii=False)

    return previous


def _digest(part: Document) -> str:
    mentions = [(mention.start, mention.end, mention.label) for mention in part.mentions]
    return hashlib.sha256(json.dumps([part.text, mentions]).encode()).hexdigest()[:24]
