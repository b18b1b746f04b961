"""Files of an earlier run, damaged at random: what is read of them is right, missing, or an error of ours."""

from __future__ import annotations

import random
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from entsemble.errors import DataError, EntsembleError, EntsembleWarning
from entsemble.execution.journal import Journal
from entsemble.execution.reply_cache import ReplyCache
from entsemble.retrieval.embedding_cache import PoolCache

VALUES = {f"key {number}": f"value {number} ".encode() * 5 for number in range(100)}
CONFIGURATION = {"labels": "1", "pool": "2"}
ROUNDS = 120


def use_replies(path: Path) -> dict[str, bytes | None]:
    with closing(ReplyCache(path, 1 << 20)) as cache:
        values = {key: cache.get(key.encode()) for key in VALUES}
        for key, value in values.items():
            if value is None:
                cache.put(key.encode(), VALUES[key])
    return values


def use_pool(path: Path) -> dict[str, bytes | None]:
    cache = PoolCache(path)
    values = cache.get("owner", list(VALUES))
    cache.put("owner", {key: value for key, value in VALUES.items() if key not in values})
    return {key: values.get(key) for key in VALUES}


def use_journal(path: Path) -> dict[str, bytes | None]:
    with closing(Journal(path.with_name("out"))) as journal:
        journal.begin(CONFIGURATION)
        records = {key: journal.get(key.encode()) for key in VALUES}
        for key, record in records.items():
            if record is None:
                journal.append(key.encode(), VALUES[key].decode())
    return {key: record.encode() if isinstance(record, str) else None for key, record in records.items()}


USERS: dict[str, Callable[[Path], dict[str, bytes | None]]] = {
    "replies.sqlite": use_replies,
    "pools.sqlite": use_pool,
    ".out.journal": use_journal,
}
"""By the name of a file: a function that reads its values, and writes those that are missing."""


def damage(content: bytes, generator: random.Random) -> bytes:
    """A file of which bits are flipped, a part is overwritten, the end is missing, or the schema is another."""
    damaged, place = bytearray(content), generator.randrange(len(content))
    kind = generator.randrange(5)
    if kind == 0:
        return content[:place]
    if kind == 1:
        damaged[place] ^= 1 << generator.randrange(8)
    elif kind == 2:
        damaged[place : place + 200] = generator.randbytes(len(damaged[place : place + 200]))
    elif kind == 3:
        damaged[place : place + 512] = bytes(len(damaged[place : place + 512]))
    else:
        damaged[place % 4096] = generator.randrange(256)  # the header, and SQLite's own table of the tables
    return bytes(damaged)


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EntsembleWarning)
        yield


@pytest.mark.parametrize("name", USERS)
def test_no_damaged_value_is_read(name: str, tmp_path: Path) -> None:
    use, generator = USERS[name], random.Random(name)
    path = tmp_path / name
    use(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    intact = path.read_bytes()
    answers, messages = 0, []
    for _ in range(ROUNDS):
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(damage(intact, generator))
        try:
            with quiet():
                values = use(path)
        except EntsembleError as error:
            messages.append(str(error))
        else:
            assert all(value in (None, VALUES[key]) for key, value in values.items())
            answers += 1
    assert answers > ROUNDS / 4
    assert len(messages) > ROUNDS / 20
    assert all("delete" in message for message in messages)


@pytest.mark.parametrize("name", USERS)
def test_a_schema_whose_message_is_no_text_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    USERS[name](path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE\xfeTABLE"))
    with pytest.raises(DataError, match=r"malformed.*delete"):
        USERS[name](path)


@pytest.mark.parametrize("name", USERS)
def test_tables_with_other_columns_are_an_error_of_ours_or_a_warning(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    USERS[name](path)
    with closing(sqlite3.connect(path)) as connection:
        for table in ("replies", "entries", "done"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"CREATE TABLE {table} (old TEXT, used TEXT)")
        connection.commit()
    if name == "replies.sqlite":
        with pytest.warns(EntsembleWarning, match=r"replies\.sqlite: replies are no longer cached: no such column"):
            assert set(use_replies(path).values()) == {None}
    else:
        with pytest.raises(DataError, match=r"no such column.*delete"):
            USERS[name](path)


def test_values_of_other_types_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    use_replies(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE replies SET value = 'text', used = 'yesterday' WHERE key = ?", (b"key 1",))
        connection.execute("UPDATE replies SET value = NULL, used = NULL WHERE key = ?", (b"key 2",))
        connection.execute("UPDATE replies SET value = 17, used = 1.5 WHERE key = ?", (b"key 3",))
        other_value = "(SELECT value FROM replies WHERE key = ?)"
        connection.execute(f"UPDATE replies SET value = {other_value} WHERE key = ?", (b"key 4", b"key 5"))
        connection.commit()
    values = use_replies(path)
    assert [key for key, value in values.items() if value is None] == ["key 1", "key 2", "key 3", "key 5"]
    assert use_replies(path) == VALUES
