"""What models answered, kept on disk: the same request is never evaluated twice, in this run or another.

A request's key holds all that shapes its answer: the model's fingerprint (weights, adapter, engine, threads), the
prompt, the decoding and the constraint. One SQLite file, bounded in size; the longest unused goes first.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from entsemble._lib.sqlite import TIMEOUT_SECONDS, enable_wal
from entsemble.errors import DataError
from entsemble.protocols import LanguageModel
from entsemble.types import Choice, Decoding, Reply, Usage

Answer = TypeVar("Answer", Reply, Choice)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, value BLOB, used INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS by_use ON replies (used)",
)
_CHECK_EVERY = 64
_COARSE_SECONDS = 3600
"""How exactly it is known when a reply was last used; finer would write at every hit."""


class ReplyCache:
    """Values by key, in a file that many threads and processes may use at once.

    A cache is a convenience: once it cannot be written (a full disk), it warns and the run goes on without it.

    Args:
        path: the SQLite file; made with its folders where absent.
        max_bytes: what the file may hold; the longest unused tenth is dropped beyond.

    Raises:
        DataError: the file is no cache, or cannot be made.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._puts, self._broken = 0, False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=TIMEOUT_SECONDS, check_same_thread=False, isolation_level=None
            )
            enable_wal(self._connection)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._shrink()
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"cannot keep replies here ({error}); delete the file, choose another cache folder with "
                "ENTSEMBLE_CACHE, or go without with --no-cache",
                path,
            ) from error

    def get(self, key: bytes) -> bytes | None:
        """The value kept for `key`."""
        with self._lock:
            try:
                row = self._connection.execute("SELECT value, used FROM replies WHERE key = ?", (key,)).fetchone()
                now = int(time.time())
                if row and now - row[1] > _COARSE_SECONDS:
                    self._connection.execute("UPDATE replies SET used = ? WHERE key = ?", (now, key))
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        return row[0] if row else None

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value`; whole or, when killed, not at all."""
        if self._broken:
            return
        with self._lock:
            try:
                told = (key, value, int(time.time()))
                self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", told)
                self._puts += 1
                if self._puts % _CHECK_EVERY == 0:
                    self._shrink()
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _shrink(self) -> None:
        """Drop the longest unused tenth until the rest fits. SQLite uses the room again."""
        while self._bytes() > self._max_bytes:
            tenth = "SELECT key FROM replies ORDER BY used LIMIT (SELECT 1 + count(*) / 10 FROM replies)"
            if not self._connection.execute(f"DELETE FROM replies WHERE key IN ({tenth})").rowcount:
                return

    def _bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _give_up(self, error: sqlite3.Error) -> None:
        if not self._broken:
            self._broken = True
            warnings.warn(f"{self._path}: replies are not kept any more: {error}", stacklevel=2)


@dataclass  # without slots: those of a `threading.local` are shared by all threads
class _Chain(threading.local):
    """What this thread asked since a prompt that did not go on from the one before.

    Attributes:
        root: the prompt that the others begin with.
        skipped: what was answered from the cache, so that the engine has not seen it.
    """

    root: str | None = None
    skipped: list[Callable[[], object]] = field(default_factory=list)


class CachedModel:
    """A `LanguageModel` that asks another only what the cache does not hold.

    An engine that continues a prompt where the one before ended answers, in the second digit, by what it evaluated
    before. So where a request is not in the cache but those before it in the same sentence were, they are asked again
    first: a run that was killed within a sentence gives the bytes that an uninterrupted one gives.

    Args:
        model: answers what is not known.
        cache: keeps it.
    """

    def __init__(self, model: LanguageModel, cache: ReplyCache) -> None:
        self._model, self._cache = model, cache
        self._chain = _Chain()

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    @property
    def parameters(self) -> int | None:
        """The model's."""
        return self._model.parameters

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""

        def ask(missing: Sequence[str]) -> list[Reply]:
            return self._model.generate(missing, decoding)

        request = ["generate", decoding.max_tokens, list(decoding.stop), decoding.grammar, decoding.list_separator]
        return self._answers(prompts, request, ask, _reply_to_json, _reply)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`."""

        def ask(missing: Sequence[str]) -> list[Choice]:
            return self._model.choose(missing, options)

        return self._answers(prompts, ["choose", list(options)], ask, _choice_to_json, _choice)

    def close(self) -> None:
        """Close the model; the cache is its owner's."""
        self._model.close()

    def _answers(
        self,
        prompts: Sequence[str],
        told: list[Any],
        ask: Callable[[Sequence[str]], list[Answer]],
        to_json: Callable[[Answer], Any],
        of_json: Callable[[Any], Answer],
    ) -> list[Answer]:
        keys = {prompt: self._key(prompt, told) for prompt in prompts}
        kept = [self._cache.get(key) for key in keys.values()]
        chain = self._chain_of(prompts)
        known = [of_json(json.loads(value)) for value in kept if value is not None]
        if len(known) == len(keys):
            chain.skipped.append(lambda: ask(list(keys)))
            found = dict(zip(keys, known, strict=True))
        else:
            for again in chain.skipped:
                again()
            chain.skipped.clear()
            found = dict(zip(keys, ask(list(keys)), strict=True))
            for prompt, answer in found.items():
                self._cache.put(keys[prompt], json.dumps(to_json(answer)).encode())
        return [found[prompt] for prompt in prompts]

    def _chain_of(self, prompts: Sequence[str]) -> _Chain:
        chain = self._chain
        if chain.root is None or not all(p != chain.root and p.startswith(chain.root) for p in prompts):
            chain.root = prompts[0] if prompts else None
            chain.skipped.clear()
        return chain

    def _key(self, prompt: str, told: list[Any]) -> bytes:
        return hashlib.sha256(json.dumps([self._model.fingerprint, prompt, *told]).encode()).digest()


def _known(prompt_tokens: int) -> Usage:
    """What an answer from the cache costs: tokens submitted, none of them evaluated."""
    return Usage(prompt_tokens, cached_tokens=prompt_tokens, calls=1, cache_hits=1)


def _reply_to_json(reply: Reply) -> list[Any]:
    return [reply.text, reply.finished, reply.usage.prompt_tokens]


def _reply(values: list[Any]) -> Reply:
    text, finished, tokens = values
    return Reply(text, finished, _known(tokens))


def _choice_to_json(choice: Choice) -> list[Any]:
    return [choice.log_probabilities, choice.exact, choice.usage.prompt_tokens]


def _choice(values: list[Any]) -> Choice:
    scores, exact, tokens = values
    return Choice(tuple(scores), _known(tokens), exact)
