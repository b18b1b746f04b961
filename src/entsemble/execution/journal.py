"""What makes a run resumable: a record of finished inputs beside the output, and the way past them.

One SQLite file, to which each input is added in its own transaction, so that a process that is killed at any time
leaves whole records only. A lock that ends with its process keeps two runs from writing one output.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from entsemble._lib.atomic import lock_output
from entsemble._lib.private import make_private_database
from entsemble._lib.sealed import seal, unseal
from entsemble._lib.sqlite import enable_wal
from entsemble.errors import DataError

Input = TypeVar("Input")
Output = TypeVar("Output")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS run (part TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS done (input BLOB PRIMARY KEY, output BLOB) WITHOUT ROWID",
)


class Journal:
    """The record of one output, which only its owner can read.

    Args:
        output: the file or folder that the run will write; the journal is `.<its name>.journal` beside it.
        lock_timeout: seconds to wait for another run that writes the same output.

    Attributes:
        path: the journal's file.
        lock: the lock of the output.

    Raises:
        DataError: the journal cannot be written, or the path has no name.
        InUseError: another run is writing this output.
    """

    def __init__(self, output: Path, *, lock_timeout: float = 1.0) -> None:
        if not output.name:
            raise DataError("this path has no name; name a file, or a new folder", output)
        self.path = output.with_name(f".{output.name}.journal")
        self._is_removed = False
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self.lock = lock_output(output, lock_timeout)
        except OSError as error:
            raise _not_writable(output, error) from error
        try:
            self._connection = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            self.lock.close()
            raise _not_writable(output, error) from error
        except sqlite3.DatabaseError as error:
            self.lock.close()
            raise self._unreadable(error) from error

    def _open(self) -> sqlite3.Connection:
        make_private_database(self.path)
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # without shared memory, which network folders lack
        enable_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        for statement in _SCHEMA:
            connection.execute(statement)
        return connection

    @property
    def record_count(self) -> int:
        """Number of recorded inputs."""
        with self._reading() as connection:
            (record_count,) = connection.execute("SELECT count(*) FROM done").fetchone()
        return int(record_count)

    def begin(self, configuration: Mapping[str, str]) -> tuple[int, list[str]]:
        """Resume a run of this configuration, or begin one.

        Args:
            configuration: all that results depend on, by name.

        Returns:
            Number of inputs recorded before, and the names in the configuration that changed since. If there are any,
            the records were deleted.

        Raises:
            DataError: the journal is damaged, or cannot be written.
        """
        record_count, current = self.record_count, dict(configuration)
        with self._reading() as connection:
            previous = {str(part): value for part, value in connection.execute("SELECT part, value FROM run")}
            all_parts = previous.keys() | current.keys()
            changed = sorted(part for part in all_parts if previous and previous.get(part) != current.get(part))
        with self._writing() as connection:
            connection.execute("BEGIN")
            if changed:
                connection.execute("DELETE FROM done")
            connection.execute("DELETE FROM run")
            connection.executemany("INSERT INTO run VALUES (?, ?)", current.items())
            connection.execute("COMMIT")
        return record_count, changed

    def get(self, input_key: bytes) -> object | None:
        """The recorded output of an input, from JSON; `None` if there is none, or it is damaged.

        Raises:
            DataError: the journal is damaged so that no record can be looked up.
        """
        with self._reading() as connection:
            record = connection.execute("SELECT output FROM done WHERE input = ?", (input_key,)).fetchone()
        content = None if record is None else unseal(input_key, record[0])
        return None if content is None else json.loads(content)

    def append(self, input_key: bytes, output: object) -> None:
        """Record the output of an input.

        Args:
            input_key: identifies the input.
            output: anything that JSON can hold.

        Raises:
            DataError: the journal cannot be written.
        """
        record = input_key, seal(input_key, json.dumps(output, ensure_ascii=True).encode())
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", record)

    def close(self) -> None:
        """Close the journal; it stays for a later run if it has any record."""
        if not self._is_removed and self._is_empty():
            self.remove()
        self._connection.close()
        self.lock.close()

    def remove(self) -> None:
        """Delete the journal, since the output is complete."""
        self._is_removed = True
        self._connection.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.lock.close()

    def _is_empty(self) -> bool:
        """Whether nothing is recorded; not if the file is damaged, which whoever reads it next is told."""
        try:
            return self._connection.execute("SELECT 1 FROM done LIMIT 1").fetchone() is None
        except sqlite3.DatabaseError:
            return False

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.OperationalError as error:
            raise DataError(f"the journal cannot be written ({error}); is the disk full?", self.path) from error
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.DatabaseError) -> DataError:
        return DataError(f"this is not a journal, or a damaged one ({error}); delete it to start over", self.path)


def _not_writable(output: Path, error: Exception) -> DataError:
    return DataError(f"no journal can be written beside it ({error}); check the folder", output)


def resume(
    inputs: Iterable[Input],
    recorded: Callable[[Input], Output | None],
    run: Callable[[Iterator[Input]], Iterator[Output]],
    lookahead: int = 256,
) -> Iterator[Output]:
    """Outputs of all inputs in order: recorded ones as they are, and the others run.

    Args:
        inputs: read as they are needed.
        recorded: the recorded output of an input, or `None`.
        run: yields an output for each input, in order; called again after long stretches of recorded inputs. If it
            ends before its inputs do, it was stopped, and the outputs end too.
        lookahead: recorded outputs that may wait in memory for the output of an input before them. With more, `run` is
            not given any more inputs, so that it ends and they can be yielded.
    """
    input_queue = _InputQueue(inputs, recorded, lookahead)
    while not input_queue.is_exhausted:
        input_queue.has_read = False
        for output in run(input_queue.read_missing()):
            yield from input_queue.take_recorded()
            input_queue.take_missing()
            yield output
        yield from input_queue.take_recorded()
        if input_queue.is_waiting or not input_queue.has_read:  # the run was stopped
            return


class _InputQueue(Generic[Input, Output]):
    """The inputs that were read, in order, until their outputs are yielded.

    With inputs 1 to 4, of which 1 and 3 are recorded::

        read_missing() yields 2     waiting: [output 1, None]
        take_recorded() yields 1    waiting: [None]
        take_missing(), for 2       waiting: []
        read_missing() yields 4     waiting: [output 3, None]

    Attributes:
        has_read: whether any input was read since this was set to False.
        is_exhausted: whether all inputs were read.
    """

    def __init__(self, inputs: Iterable[Input], recorded: Callable[[Input], Output | None], lookahead: int) -> None:
        self._inputs, self._recorded, self._lookahead = iter(inputs), recorded, lookahead
        self._waiting: deque[Output | None] = deque()
        self.has_read = self.is_exhausted = False

    @property
    def is_waiting(self) -> bool:
        """Whether an input was read whose output was not yielded."""
        return bool(self._waiting)

    def read_missing(self) -> Iterator[Input]:
        """Read inputs and yield those without a record, until too many recorded outputs wait."""
        for next_input in self._inputs:
            self.has_read = True
            output = self._recorded(next_input)
            self._waiting.append(output)
            if output is None:
                yield next_input
            elif len(self._waiting) > self._lookahead:
                return
        self.is_exhausted = True

    def take_recorded(self) -> Iterator[Output]:
        """The recorded outputs at the front of the queue."""
        while self._waiting and (output := self._waiting[0]) is not None:
            self._waiting.popleft()
            yield output

    def take_missing(self) -> None:
        """Remove the input at the front of the queue, whose output was produced."""
        self._waiting.popleft()
