"""The pool that a server keeps: annotated texts in one JSON Lines file, which people correct."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from entsemble._lib.atomic import sync
from entsemble._lib.text import same_text_key
from entsemble.data.formats import read
from entsemble.data.jsonl import to_json
from entsemble.data.options import ReadOptions
from entsemble.errors import ConfigError, DataError
from entsemble.types import Document

_ENDING = ".jsonl"


class PoolFile:
    """Annotated texts by id, in the order in which they came.

    A text is in it once: whoever annotates it again corrects it. Each change is written whole and renamed into place
    before it counts, so a kill leaves the pool before or after it. What was written into the file by other means since
    is read before a change, and kept.

    Args:
        path: a JSON Lines file; made with the first text where it is not there.

    Raises:
        ConfigError: another kind of file, or another server keeps it.
        DataError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != _ENDING:
            raise ConfigError(
                f"{path}: a pool that is corrected is JSON Lines; `entsemble convert` makes {_ENDING} of it"
            )
        self.path = path = path.resolve()  # a link stays one
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path.with_name(f".{path.name}.lock"))
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(f"another server keeps {path}; stop it, or name another --pool") from error
        except OSError as error:
            raise DataError(f"a pool cannot be kept here ({error.strerror})", path) from error
        self._now: tuple[int, tuple[Document, ...]] = (0, ())
        self._read_at: tuple[int, ...] = ()
        if path.exists():
            self._now = 0, self._read()

    def close(self) -> None:
        """Let another server keep it."""
        self._lock.release()

    def texts(self) -> tuple[int, tuple[Document, ...]]:
        """How often it was changed, and what it holds now."""
        return self._now

    def add(self, documents: Iterable[Document]) -> list[Document]:
        """Keep annotated texts; one that is there already is corrected, and keeps its id. All of them or none.

        Returns:
            Them, with their ids.

        Raises:
            DataError: the file cannot be written.
        """
        kept: list[Document] = []

        def change(now: dict[str, Document]) -> None:
            ids = {same_text_key(d.text): d.id for d in now.values()}
            for document in documents:
                name = ids.setdefault(same_text_key(document.text), uuid.uuid4().hex[:12])
                now[name] = _corrected(now.get(name), replace(document, id=name))
                kept.append(now[name])

        self._change(change)
        return kept

    def correct(self, name: str, document: Document) -> Document:
        """Put another text, or other mentions, in the place of one; returned as it is kept.

        Raises:
            DataError: the file cannot be written.
            KeyError: there is none of that id.
            ValueError: another one has that text.
        """
        kept: list[Document] = []

        def change(now: dict[str, Document]) -> None:
            if name not in now:
                raise KeyError(name)
            if any(d.id != name and same_text_key(d.text) == same_text_key(document.text) for d in now.values()):
                raise ValueError("another text of the pool says the same; correct or delete that one")
            now[name] = _corrected(now[name], replace(document, id=name))
            kept.append(now[name])

        self._change(change)
        return kept[0]

    def delete(self, name: str) -> None:
        """Forget one; raises as `correct` does."""
        self._change(lambda now: now.__delitem__(name))

    def _change(self, change: Callable[[dict[str, Document]], None]) -> None:
        with self._turn:
            if self.path.exists() and self._stamp() != self._read_at:  # somebody edits the file beside the server
                self._now = self._now[0] + 1, self._read()
            version, before = self._now
            now = {d.id: d for d in before}
            change(now)
            self._write(now.values())
            self._now = version + 1, tuple(now.values())

    def _read(self) -> tuple[Document, ...]:
        stamp = self._stamp()
        found = tuple(read(self.path, "jsonl", ReadOptions(discontinuous="hull")))
        self._read_at = stamp
        return found

    def _stamp(self) -> tuple[int, ...]:
        told = self.path.stat()
        return told.st_mtime_ns, told.st_size, told.st_ino

    def _write(self, documents: Iterable[Document]) -> None:
        try:
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.name}.") as folder:
                new = Path(folder) / self.path.name
                lines = (json.dumps(to_json(d), ensure_ascii=False) + "\n" for d in documents)
                with new.open("w", encoding="utf-8", newline="\n") as file:
                    file.writelines(lines)
                sync(new)
                if self.path.exists():
                    shutil.copymode(self.path, new)
                new.replace(self.path)
                self._read_at = self._stamp()
                sync(self.path.parent)
        except OSError as error:
            raise DataError(f"the pool cannot be written ({error.strerror})", self.path) from error


def _corrected(before: Document | None, made: Document) -> Document:
    """What is known of a text beside its mentions stays known, and its tokens where it is the same text."""
    if before is None:
        return made
    tokens = before.tokens if before.text == made.text else ()
    return replace(made, tokens=made.tokens or tokens, meta={**before.meta, **made.meta})
