"""What makes a run resumable: an append-only record of finished inputs, and the way through it.

One SQLite file beside the output. Each input is one transaction, so a process that is killed at any instant leaves
whole records only; a lock that goes with its process keeps two runs from writing one output.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from entsemble.errors import DataError

Input = TypeVar("Input")
Output = TypeVar("Output")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS run (part TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS done (input BLOB PRIMARY KEY, output BLOB) WITHOUT ROWID",
)
_PATIENCE = 1.0
"""Seconds that a run waits for another one that writes the same output."""


class Journal:
    """The record of one output.

    Args:
        output: the file or folder that the run will write; the journal is `.<its name>.journal` beside it.

    Raises:
        DataError: another run is writing this output, or the journal cannot be written; `.` and `/` have no name.
    """

    def __init__(self, output: Path) -> None:
        if not output.name:
            raise DataError("it has no name of its own; name a file, or a new folder", output)
        self.path = output.with_name(f".{output.name}.journal")
        self._lock = FileLock(output.with_name(f".{output.name}.lock"), thread_local=False)
        self._removed = False
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=_PATIENCE)
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # no shared memory: for folders on a network
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            for statement in _SCHEMA:
                self._connection.execute(statement)
        except Timeout as error:
            told = "another run is writing this output; wait for it, or give another name"
            raise DataError(told, output) from error
        except (OSError, sqlite3.OperationalError) as error:
            self._unlock()
            raise DataError(f"no journal can be kept beside it ({error}); check the folder", output) from error
        except sqlite3.DatabaseError as error:
            self._unlock()
            raise DataError(f"this is no journal ({error}); delete it to begin afresh", self.path) from error

    @property
    def record_count(self) -> int:
        """How many inputs the record holds."""
        (count,) = self._connection.execute("SELECT count(*) FROM done").fetchone()
        return int(count)

    def begin(self, configuration: Mapping[str, str]) -> tuple[int, list[str]]:
        """Go on with a run of this configuration, or begin one.

        Args:
            configuration: all that shapes the results, by name.

        Returns:
            How many inputs the record holds, and which parts of the configuration changed since; where any did, the
            record was emptied.
        """
        before = dict(self._connection.execute("SELECT part, value FROM run"))
        held, now = self.record_count, dict(configuration)
        changed = sorted(k for k in before.keys() | now.keys() if before and before.get(k) != now.get(k))
        self._connection.execute("BEGIN")
        if changed:
            self._connection.execute("DELETE FROM done")
        self._connection.execute("DELETE FROM run")
        self._connection.executemany("INSERT INTO run VALUES (?, ?)", now.items())
        self._connection.execute("COMMIT")
        return held, changed

    def get(self, key: bytes) -> object | None:
        """What was recorded for the input `key`."""
        row = self._connection.execute("SELECT output FROM done WHERE input = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def append(self, key: bytes, output: object) -> None:
        """Record the output of the input `key`, ready for JSON."""
        written = json.dumps(output, ensure_ascii=True)
        try:
            self._connection.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (key, written))
        except sqlite3.Error as error:
            raise DataError(f"the journal cannot be written ({error}); is the disk full?", self.path) from error

    def close(self) -> None:
        """Keep the record for a later run, where there is anything in it."""
        if not self._removed and self._connection.execute("SELECT 1 FROM done LIMIT 1").fetchone() is None:
            self.remove()
        self._connection.close()
        self._unlock()

    def remove(self) -> None:
        """The output is whole: the record is not needed any more."""
        self._removed = True
        self._connection.close()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        """Leave no lock behind. Unlinked while it is held: whoever waits for it looks again, and makes another."""
        if self._lock.is_locked:
            with suppress(PermissionError):  # Windows keeps what is open
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()


def resume(
    inputs: Iterable[Input],
    known: Callable[[Input], Output | None],
    run: Callable[[Iterator[Input]], Iterator[Output]],
    ahead: int = 256,
) -> Iterator[Output]:
    """Outputs of all inputs in order: known ones as they are, the others run.

    Args:
        inputs: taken in as they are needed.
        known: what was recorded for an input, if anything.
        run: makes an output for every input, in order; called again after long stretches of known inputs. Where it
            ends before its inputs do, the outputs end too.
        ahead: known outputs that may wait for an unknown one before them, until a run is ended for them: a bound on
            memory, against what it costs to run again.
    """
    source = iter(inputs)
    waiting: deque[Output | None] = deque()
    ended = taken = False

    def unknown() -> Iterator[Input]:
        nonlocal ended, taken
        for value in source:
            taken = True
            found = known(value)
            waiting.append(found)
            if found is None:
                yield value
            elif len(waiting) > ahead:
                return
        ended = True

    def ready() -> Iterator[Output]:
        while waiting and (output := waiting[0]) is not None:
            waiting.popleft()
            yield output

    while not ended:
        taken = False
        for output in run(unknown()):
            yield from ready()
            waiting.popleft()
            yield output
        yield from ready()
        if waiting or not taken:  # the run was stopped
            return
