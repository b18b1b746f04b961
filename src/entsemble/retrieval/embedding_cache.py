"""A cache on disk of what preparing a pool computes: embeddings and pre-extracted spans.

One SQLite file. Each batch is a transaction, so an interrupted preparation resumes where it stopped, and several
processes may prepare pools at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from entsemble._lib.cancellation import check_cancelled
from entsemble._lib.private import make_private_database, make_private_folder
from entsemble._lib.sealed import seal, unseal
from entsemble._lib.sqlite import TIMEOUT_SECONDS, damage_is_an_error_of_sqlite, enable_wal, is_refused
from entsemble.errors import DataError, warn
from entsemble.protocols import Encoder, Mapper, Vectors

Item = TypeVar("Item")

OnProgress = Callable[[int, int], None]
"""Called with (number done, total) during a preparation."""

_BATCH_SIZE = 256
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS entries "
    "(owner TEXT, text_digest BLOB, value BLOB, PRIMARY KEY (owner, text_digest)) WITHOUT ROWID"
)


class PoolCache:
    """Values by owner and text, where the owner identifies what computed them; a damaged one is as one never stored.

    The file is opened when it is first needed. If it cannot be, nothing is stored, after a warning.

    Args:
        path: of the SQLite file; created, with its folders, if missing, for its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, owner: str, texts: Sequence[str]) -> dict[str, bytes]:
        """The cached values of `texts`, by text; texts without one are left out.

        Raises:
            DataError: the file is not a cache, or damaged.
        """
        if not self._is_usable:
            return {}
        texts_by_digest = {_digest(text): text for text in texts}
        values: dict[str, bytes] = {}
        try:
            with self._connect() as connection:
                for digests in _batches(list(texts_by_digest)):
                    placeholders = ",".join("?" * len(digests))
                    query = (
                        f"SELECT text_digest, value FROM entries WHERE owner = ? AND text_digest IN ({placeholders})"
                    )
                    for digest, stored in connection.execute(query, [owner, *digests]):
                        text = texts_by_digest.get(digest)  # none, if a damaged file answers with another row
                        value = None if text is None else unseal(_seal_key(owner, digest), stored)
                        if text is not None and value is not None:
                            values[text] = value
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return values

    def put(self, owner: str, values: dict[str, bytes]) -> None:
        """Store values by text, all or none of them. If the file cannot be written, warn and continue.

        Raises:
            DataError: the file is not a cache.
        """
        if not self._is_usable:
            return
        rows = []
        for text, value in values.items():
            digest = _digest(text)
            rows.append((owner, digest, seal(_seal_key(owner, digest), value)))
        try:
            with self._connect() as connection:
                connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            warn(f"{self._path}: the prepared pool is not cached: {error}")

    @cached_property
    def _is_usable(self) -> bool:
        """Whether values can be stored; opens the file."""
        try:
            make_private_folder(self._path.parent)
            make_private_database(self._path)
            with self._connect() as connection:
                enable_wal(connection)
                connection.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            if not is_refused(error):
                raise self._unreadable(error) from error
            advice = "set ENTSEMBLE_CACHE to a folder that can be written"
            warn(f"{self._path}: what is learned from a pool is not cached ({error}); {advice}")
            return False
        return True

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with (
            damage_is_an_error_of_sqlite(),
            closing(sqlite3.connect(self._path, timeout=TIMEOUT_SECONDS)) as connection,
            connection,
        ):
            yield connection

    def _unreadable(self, error: Exception) -> DataError:
        advice = "delete the file, or set ENTSEMBLE_CACHE to another cache folder"
        return DataError(f"the pool's index cannot be read ({error}); {advice}", self._path)


class CachedEncoder:
    """An `Encoder` that encodes no text twice.

    Args:
        encoder: encodes the texts that are not in the cache.
        cache: of embeddings.
        on_progress: called after each batch of missing texts.
    """

    def __init__(self, encoder: Encoder, cache: PoolCache, on_progress: OnProgress | None = None) -> None:
        self.fingerprint, self.weights_fingerprint = encoder.fingerprint, encoder.weights_fingerprint
        self._encoder, self._cache, self._on_progress = encoder, cache, on_progress

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        vectors = _VectorRows(len(rows))
        missing: list[str] = []
        for batch in _batches(list(rows)):
            cached = self._cache.get(self.fingerprint, batch)
            for text, value in cached.items():
                vectors.fill(rows[text], np.frombuffer(value, dtype=np.float32))
            missing += [text for text in batch if text not in cached]
        done_count = 0
        for batch in _batches(missing):
            new_vectors = dict(zip(batch, self._encoder.encode(batch), strict=True))
            self._cache.put(self.fingerprint, {text: vector.tobytes() for text, vector in new_vectors.items()})
            for text, vector in new_vectors.items():
                vectors.fill(rows[text], vector)
            done_count += len(batch)
            if self._on_progress:
                self._on_progress(done_count, len(missing))
        return vectors.matrix if len(rows) == len(texts) else vectors.matrix[[rows[text] for text in texts]]


class _VectorRows:
    """A matrix of vectors whose length the first one tells; no vector is held twice.

    Args:
        row_count: rows of the matrix.

    Attributes:
        matrix: [rows, dimensions].
    """

    def __init__(self, row_count: int) -> None:
        self.matrix: Vectors = np.zeros((row_count, 1), dtype=np.float32)
        self._is_empty = True

    def fill(self, row: int, vector: Vectors) -> None:
        """Set a row."""
        if self._is_empty:
            self.matrix, self._is_empty = np.empty((len(self.matrix), len(vector)), dtype=np.float32), False
        self.matrix[row] = vector


def cached_spans(
    owner: str,
    texts: Sequence[str],
    find_spans: Callable[[str], Sequence[str]],
    cache: PoolCache,
    mapper: Mapper,
    on_progress: OnProgress | None = None,
) -> dict[str, tuple[str, ...]]:
    """The span surfaces of each text, from the cache or `find_spans`; each text is cached as soon as it is done.

    Args:
        owner: changes whenever `find_spans` could return something else.
        texts: the pool's sentences.
        find_spans: a sentence -> the surfaces of its spans; slow.
        cache: of spans.
        mapper: runs `find_spans`; several texts at once if it has several workers.
        on_progress: called after each missing text.

    Raises:
        WorkCancelledError: the spans are no longer wanted.
    """
    spans = {text: tuple(json.loads(value)) for text, value in cache.get(owner, texts).items()}
    missing = [text for text in dict.fromkeys(texts) if text not in spans]
    for done_count, (text, surfaces) in enumerate(zip(missing, mapper.map(find_spans, missing), strict=False), 1):
        spans[text] = tuple(surfaces)
        cache.put(owner, {text: json.dumps(spans[text], ensure_ascii=False).encode()})
        if on_progress:
            on_progress(done_count, len(missing))
    check_cancelled()  # a mapper that is cancelled returns fewer results
    return spans


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _seal_key(owner: str, digest: bytes) -> bytes:
    return digest + owner.encode()


def _batches(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), _BATCH_SIZE):
        yield items[start : start + _BATCH_SIZE]
