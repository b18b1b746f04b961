"""The server's pool: annotated documents in one JSON Lines file, which users correct."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from entsemble._lib.atomic import lock_output, replacing
from entsemble._lib.paths import real_path
from entsemble._lib.private import make_private_folder
from entsemble._lib.text import same_text_key
from entsemble.data.formats import read
from entsemble.data.jsonl import to_json
from entsemble.data.options import ReadOptions
from entsemble.errors import ConfigError, DataError, InUseError
from entsemble.server.limits import Limits, TooLargeError
from entsemble.types import Document

_SUFFIX = ".jsonl"


class PoolFile:
    """Annotated documents by id, in insertion order, each text once.

    Annotating a text again corrects it. Each change replaces the whole file atomically before it takes effect, so a
    kill leaves the pool before or after the change. Edits by other programs are read before each change, and kept.

    Args:
        path: a JSON Lines file; if it does not exist, it is created with the first document, for its owner only.

    Raises:
        ConfigError: another kind of file, or one that another server uses.
        DataError: it cannot be read.

    Attributes:
        on_change: called after each change.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != _SUFFIX:
            raise ConfigError(
                f"{path}: only a JSON Lines pool can be corrected; `entsemble convert` converts it to {_SUFFIX}"
            )
        self.path = path = real_path(path)  # a symbolic link is kept
        self.on_change: Callable[[], None] = lambda: None
        self._change_lock = threading.Lock()
        try:
            make_private_folder(path.parent)
            self._file_lock = lock_output(path)
        except InUseError as error:
            message = f"another server uses {path}: {error.holder}; stop it, or name another --pool"
            raise ConfigError(message) from error
        except OSError as error:
            raise DataError(f"a pool cannot be stored here ({error.strerror})", path) from error
        self._current: tuple[int, tuple[Document, ...]] = (0, ())
        self._last_stamp: tuple[int, ...] = ()
        if path.exists():
            self._current = 0, self._read()

    def close(self) -> None:
        """Release the file for other servers."""
        self._file_lock.close()

    def snapshot(self) -> tuple[int, tuple[Document, ...]]:
        """The version, which increases with each change, and the documents."""
        return self._current

    def add(self, documents: Iterable[Document], limits: Limits | None = None) -> list[Document]:
        """Add all documents or none; one whose text is in the pool corrects it, and takes its id.

        Returns:
            The documents as stored, with their ids.

        Raises:
            DataError: the file cannot be written.
            TooLargeError: the pool would exceed a limit.
        """
        return self.replace(documents, (), limits)

    def replace(
        self, added: Iterable[Document], removed_ids: Iterable[str], limits: Limits | None = None
    ) -> list[Document]:
        """Delete documents, as far as they are there, then add others as `add` does, in one change."""
        stored: list[Document] = []

        def change(by_id: dict[str, Document]) -> None:
            for document_id in removed_ids:
                by_id.pop(document_id, None)
            stored.extend(_add(by_id, added))

        self._apply(change, limits)
        return stored

    def correct(self, document_id: str, document: Document, limits: Limits | None = None) -> Document:
        """Replace the text or the mentions of a document; returns it as stored.

        Raises:
            DataError: the file cannot be written.
            KeyError: there is no document with this id.
            TooLargeError: the pool would exceed a limit.
            ValueError: another document has the same text.
        """

        def change(by_id: dict[str, Document]) -> None:
            previous, text_key = by_id[document_id], same_text_key(document.text)
            if any(other.id != document_id and same_text_key(other.text) == text_key for other in by_id.values()):
                raise ValueError("another document in the pool has the same text; correct or delete that one")
            by_id[document_id] = _corrected(previous, replace(document, id=document_id))

        return self._apply(change, limits)[document_id]

    def delete(self, document_id: str) -> None:
        """Delete a document; raises as `correct` does."""
        self._apply(lambda by_id: by_id.__delitem__(document_id), None)

    def _apply(self, change: Callable[[dict[str, Document]], None], limits: Limits | None) -> dict[str, Document]:
        with self._change_lock:
            if self.path.exists() and self._stamp() != self._last_stamp:  # another program edited the file
                self._current = self._current[0] + 1, self._read()
            version, documents = self._current
            by_id = {document.id: document for document in documents}
            change(by_id)
            if limits is not None:
                _check_size(documents, by_id.values(), limits)
            self._write(by_id.values(), limits)
            self._current = version + 1, tuple(by_id.values())
        self.on_change()
        return by_id

    def _read(self) -> tuple[Document, ...]:
        stamp = self._stamp()
        documents = tuple(read(self.path, "jsonl", ReadOptions(discontinuous="hull")))
        self._last_stamp = stamp
        return documents

    def _stamp(self) -> tuple[int, ...]:
        status = self.path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _write(self, documents: Iterable[Document], limits: Limits | None) -> None:
        max_bytes = float("inf") if limits is None else limits.pool_bytes
        previous_bytes = self.path.stat().st_size if self.path.exists() else 0
        new_bytes = 0

        def write_lines(file: TextIO) -> None:
            nonlocal new_bytes
            for document in documents:
                line = _to_line(document)
                new_bytes += len(line.encode())
                if new_bytes > max(max_bytes, previous_bytes):
                    raise TooLargeError(f"a pool has at most {max_bytes} bytes; delete some texts")
                file.write(line)

        try:
            with (
                replacing(self.path, lock=self._file_lock, private=True) as new_path,
                new_path.open("w", encoding="utf-8", newline="\n") as file,
            ):
                write_lines(file)
            self._last_stamp = self._stamp()
        except OSError as error:
            raise DataError(f"the pool cannot be written ({error.strerror})", self.path) from error


def _add(by_id: dict[str, Document], documents: Iterable[Document]) -> list[Document]:
    """Add documents, or correct those with the same text; returns them with their ids."""
    stored = []
    ids = {same_text_key(document.text): document.id for document in by_id.values()}
    for document in documents:
        document_id = ids.setdefault(same_text_key(document.text), uuid.uuid4().hex[:12])
        by_id[document_id] = _corrected(by_id.get(document_id), replace(document, id=document_id))
        stored.append(by_id[document_id])
    return stored


def _corrected(previous: Document | None, corrected: Document) -> Document:
    """The corrected document, with the meta of the previous one, and its tokens if the text is the same."""
    if previous is None:
        return corrected
    tokens = previous.tokens if previous.text == corrected.text else ()
    return replace(corrected, tokens=corrected.tokens or tokens, meta={**previous.meta, **corrected.meta})


def _check_size(previous: Collection[Document], changed: Collection[Document], limits: Limits) -> None:
    """Check that the pool does not grow beyond a limit; one that exceeds it already may shrink."""
    if len(changed) > max(limits.pool_documents, len(previous)):
        raise TooLargeError(f"a pool has at most {limits.pool_documents} documents; delete some")
    if len(_labels(changed)) > max(limits.labels, len(_labels(previous))):
        raise TooLargeError(f"a pool has at most {limits.labels} labels; use those that it has, or fewer")


def _labels(documents: Iterable[Document]) -> set[str]:
    return {mention.label for document in documents for mention in document.mentions}


def _to_line(document: Document) -> str:
    """The document as a line of JSON; mentions have offsets, and not their texts again."""
    record = to_json(document)
    for mention in record["mentions"]:
        del mention["text"]
    return json.dumps(record, ensure_ascii=False) + "\n"
