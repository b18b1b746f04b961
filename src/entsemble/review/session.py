"""A review session: documents, mentions, and an edit for every key, in one file; any thread may use it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from entsemble.ner.documents import Extracted
from entsemble.review import documents as session_documents
from entsemble.review import pool_entries, views
from entsemble.review.actions import Outcome
from entsemble.review.checks import check_session
from entsemble.review.database import Database, next_version, set_setting
from entsemble.review.draft import Draft
from entsemble.review.edits import History, Place
from entsemble.types import Document

Action = Callable[[Draft], Outcome]
"""An edit: one of the functions in `actions` with its arguments."""


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that was made.

    Attributes:
        outcome: what it did.
        place: where the page goes after it.
    """

    outcome: Outcome
    place: Place


class Session:
    """Documents under review.

    An edit is on disk when its method returns. Several processes may use one file: each sees the others' edits.

    Args:
        path: of the file, which is created if necessary.
        language: of the texts, for sentence boundaries.

    Raises:
        DataError: it cannot be opened, is another kind of file, or damaged.
    """

    def __init__(self, path: Path, language: str = "en") -> None:
        self.path, self._language = path, language
        self._database = Database(path)
        try:
            check_session(self._database)
        except BaseException:
            self._database.close()
            raise
        self._history = History()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # documents

    def add(self, documents: Iterable[Document], *, is_extracted: bool) -> list[int]:
        """Add documents that the session does not have yet; returns their ids.

        Args:
            documents: with their mentions.
            is_extracted: whether these are complete; otherwise the documents wait for extraction.
        """
        with self._database.writing() as connection:
            return session_documents.add_documents(connection, documents, self._language, is_extracted=is_extracted)

    def documents(self, *, only_done: bool = False) -> Iterator[Document]:
        """The documents with their mentions as they are now."""
        condition = "state = 'done'" if only_done else "TRUE"
        query = f"SELECT id FROM documents WHERE NOT is_deleted AND {condition} ORDER BY id"
        with self._database.reading() as connection:
            ids = [row[0] for row in connection.execute(query)]
        for document_id in ids:
            with self._database.reading() as connection:
                yield session_documents.corrected_document(connection, document_id)

    # edits

    def edit(self, action: Action) -> Edited:
        """Make an edit, as a whole.

        Raises:
            RefusedEditError: it makes no sense.
            DataError: it cannot be written.
        """
        with self._database.writing() as connection:
            draft = Draft(connection, nested=self.nested)
            outcome = action(draft)
            self._finish(connection, draft, outcome)
            return Edited(outcome, draft.place)

    def undo(self) -> Edited:
        """Undo the last edit; raises as `edit` does."""
        with self._database.writing() as connection:
            action, place = self._history.undo(connection)
            return Edited(Outcome(f"undone: {action}"), place)

    def redo(self) -> Edited:
        """Redo the edit that was undone last; raises as `edit` does."""
        with self._database.writing() as connection:
            action, place = self._history.redo(connection)
            return Edited(Outcome(f"redone: {action}"), place)

    def _finish(self, connection: sqlite3.Connection, draft: Draft, outcome: Outcome) -> None:
        if not draft.changes.is_empty:
            draft.finish()
            self._history.record(connection, outcome.action, draft.changes, draft.place)

    # settings

    @property
    def labels(self) -> dict[str, str]:
        """Name -> definition."""
        return dict(self._database.setting("labels"))

    @property
    def nested(self) -> bool:
        """Whether mentions may lie inside one another."""
        return bool(self._database.setting("nested"))

    def set_defaults(self, labels: Mapping[str, str], *, nested: bool) -> None:
        """Set the labels and nesting of a new session; later ones are edits."""
        with self._database.writing() as connection:
            set_setting(connection, "labels", list(labels.items()))
            set_setting(connection, "nested", nested)
            set_setting(connection, "settings_version", next_version(connection))

    # extraction

    def next_waiting(self, preferred: int | None = None) -> int | None:
        """A document that waits for extraction, the preferred one if it does; `None` if none does."""
        query = (
            "SELECT id FROM documents WHERE extraction = 'waiting' AND NOT is_deleted AND state != 'done' "
            "ORDER BY id = ? DESC, id LIMIT 1"
        )
        with self._database.reading() as connection:
            row = connection.execute(query, (preferred,)).fetchone()
        return None if row is None else int(row[0])

    def unextracted_sentences(self, document: int) -> list[tuple[int, str]]:
        """Number and text of each sentence of a document that has not been extracted."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT text FROM documents WHERE id=?", (document,)).fetchone()
            query = "SELECT number, start, end FROM sentences WHERE document=? AND NOT is_extracted ORDER BY number"
            places = connection.execute(query, (document,)).fetchall()
            return [(number, row[0][start:end]) for number, start, end in places]

    def store_sentence(self, document: int, number: int, result: Extracted) -> None:
        """Add what was extracted from a sentence, whose text was the result's document."""
        with self._database.writing() as connection:
            session_documents.store_sentence(connection, document, number, result)

    def set_extraction(self, document: int, state: str = "", problem: str = "") -> None:
        """Set what the extraction of a document waits for, or why it failed."""
        with self._database.writing() as connection:
            session_documents.set_extraction(connection, document, state, problem)

    def cancel_extraction(self) -> None:
        """Let no document wait any longer; what was extracted stays."""
        with self._database.writing() as connection:
            version = next_version(connection)
            query = "UPDATE documents SET extraction='cancelled', version=? WHERE extraction='waiting'"
            connection.execute(query, (version,))

    def request_extraction(self, documents: Sequence[int], *, again: bool) -> Edited:
        """Let documents wait for extraction.

        Args:
            documents: which.
            again: whether sentences that were extracted are extracted again, unless they are signed off; what nobody
                has decided on in them is removed, which can be undone.
        """
        with self._database.writing() as connection:
            draft = Draft(connection, nested=self.nested)
            for document in documents if again else ():
                _remove_undecided(connection, draft, document)
            outcome = Outcome("extract again", len(documents))
            self._finish(connection, draft, outcome)
            for document in documents:
                session_documents.set_extraction(connection, document, session_documents.WAITING)
            return Edited(outcome, Place(documents[0] if documents else None))

    # views

    def changes(self, after: int, open_document: int | None = None, known_span: int = -1) -> views.View:
        """What has changed after a version, for the page.

        Args:
            after: a version; -1 for all.
            open_document: the document whose sentences are shown.
            known_span: the highest id of a span of that document whose facts the page has.
        """
        with self._database.reading() as connection:
            version = int(self._database.setting("version"))
            settings_version = int(self._database.setting("settings_version"))
            view: views.View = {"version": version, "documents": [], "sentences": [], "settings": None}
            if version > after:
                view["documents"] = views.document_summaries(connection, after)
                if open_document is not None:
                    view["sentences"] = views.sentence_views(connection, open_document, after, known_span)
            if settings_version > after:
                labels = [{"name": name, "definition": text} for name, text in self._database.setting("labels")]
                view["settings"] = {"labels": labels, "nested": self.nested}
            view["undo"], view["redo"] = self._history.next_actions(connection)
            view["pool"] = pool_entries.count_entries(connection)
            return view

    def document(self, document: int) -> views.View | None:
        """Text and sentences of a document; `None` if there is none."""
        query = "SELECT name, text FROM documents WHERE id=? AND NOT is_deleted"
        with self._database.reading() as connection:
            row = connection.execute(query, (document,)).fetchone()
            if row is None:
                return None
            sentences = views.sentence_views(connection, document, after=-1, known_span=-1)
            version = int(self._database.setting("version"))
            return {"id": document, "name": row[0], "text": row[1], "sentences": sentences, "version": version}

    def uncertain_sentences(self, limit: int) -> list[views.View]:
        """Sentences with undecided mentions, the least certain first."""
        with self._database.reading() as connection:
            return views.uncertain_sentences(connection, limit)

    def find_documents(self, words: Iterable[str]) -> list[int]:
        """The documents whose names or texts hold all words."""
        with self._database.reading() as connection:
            return views.find_documents(connection, words)

    # pool

    def write_pool(self, pool: pool_entries.Pool) -> int:
        """Bring the pool up to date with what is signed off; returns how many entries changed.

        Raises:
            DataError: the pool or the session cannot be written.
        """
        with closing(Database(self.path)) as database:  # of its own, so that no edit waits for the pool
            return pool_entries.write_entries(database, pool)


def _remove_undecided(connection: sqlite3.Connection, draft: Draft, document: int) -> None:
    unsigned = [number for number, is_signed in draft.sentence_states(document) if not is_signed]
    for row in draft.spans(document, "status IN ('proposed', 'candidate')"):
        if row.sentence in unsigned:
            draft.change_span(row, status="removed")
    connection.execute("UPDATE sentences SET is_extracted=0 WHERE document=? AND NOT is_signed", (document,))
