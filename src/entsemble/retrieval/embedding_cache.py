"""What preparing a pool costs, kept on disk so that it is paid once: vectors, and spans that members pre-extracted.

One SQLite file. Every batch is a transaction, so a preparation that is killed goes on where it was, and two processes
may prepare at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from entsemble._lib.sqlite import TIMEOUT_SECONDS, enable_wal
from entsemble.errors import DataError
from entsemble.protocols import Encoder, Vectors

T = TypeVar("T")

OnProgress = Callable[[int, int], None]
"""(done, total) of a preparation."""

_BATCH = 256
_SCHEMA = "CREATE TABLE IF NOT EXISTS kept (owner TEXT, text BLOB, value BLOB, PRIMARY KEY (owner, text)) WITHOUT ROWID"


class PoolCache:
    """Values by owner (what made them) and text.

    Args:
        path: the SQLite file; made with its folders where absent.

    Raises:
        DataError: it is no store, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                enable_wal(connection)
                connection.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=TIMEOUT_SECONDS)) as connection, connection:
            yield connection

    def get(self, owner: str, texts: Sequence[str]) -> dict[str, bytes]:
        """The values known for `texts`.

        Raises:
            DataError: the file cannot be read any more.
        """
        keys = {_key(text): text for text in texts}
        found: dict[str, bytes] = {}
        try:
            with self._open() as connection:
                for part in _parts(list(keys), _BATCH):
                    marks = ",".join("?" * len(part))
                    query = f"SELECT text, value FROM kept WHERE owner = ? AND text IN ({marks})"
                    found |= {keys[key]: value for key, value in connection.execute(query, [owner, *part])}
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return found

    def put(self, owner: str, values: dict[str, bytes]) -> None:
        """Keep `values`; all of them or, when killed, none. A run goes on without, warned."""
        rows = [(owner, _key(text), value) for text, value in values.items()]
        try:
            with self._open() as connection:
                connection.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            warnings.warn(f"{self._path}: what was prepared of the pool is not kept: {error}", stacklevel=2)

    def _unusable(self, error: Exception) -> DataError:
        told = f"cannot keep the pool's index here ({error}); delete the file, or choose another"
        return DataError(f"{told} cache folder with ENTSEMBLE_CACHE", self._path)


class CachedEncoder:
    """An `Encoder` that encodes no text twice.

    Args:
        encoder: does the work.
        store: keeps it.
        on_progress: told how many of the missing texts are done.
    """

    def __init__(self, encoder: Encoder, store: PoolCache, on_progress: OnProgress | None = None) -> None:
        self.fingerprint, self.weights_fingerprint = encoder.fingerprint, encoder.weights_fingerprint
        self._encoder, self._store, self._on_step = encoder, store, on_progress

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        known = self._store.get(self.fingerprint, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        for done, part in enumerate(_parts(missing, _BATCH)):
            vectors = self._encoder.encode(part)
            fresh = {text: row.tobytes() for text, row in zip(part, vectors, strict=True)}
            self._store.put(self.fingerprint, fresh)
            known |= fresh
            if self._on_step:
                self._on_step(done * _BATCH + len(part), len(missing))
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        return np.stack([np.frombuffer(known[text], dtype=np.float32) for text in texts])


def cached_spans(
    owner: str,
    texts: Sequence[str],
    find: Callable[[str], Sequence[str]],
    store: PoolCache,
    on_progress: OnProgress | None = None,
) -> dict[str, tuple[str, ...]]:
    """The spans of each text, found with `find` where they are not known; each text is kept as soon as it is done.

    Args:
        owner: changes whenever `find` could answer otherwise.
        texts: the pool's sentences.
        find: a sentence -> the surfaces of its spans; slow.
        store: keeps them.
        on_progress: told how many of the missing texts are done.
    """
    known = {text: tuple(json.loads(value)) for text, value in store.get(owner, texts).items()}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    for done, text in enumerate(missing, 1):
        known[text] = tuple(find(text))
        store.put(owner, {text: json.dumps(known[text], ensure_ascii=False).encode()})
        if on_progress:
            on_progress(done, len(missing))
    return known


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _parts(values: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
