"""Sessions that a disk, a crash or another program damaged: what can be read is read, or the error is ours."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from entsemble.errors import DataError
from entsemble.review.session import Session
from tests.execution.test_damaged_files import damage
from tests.review.conftest import annotated


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    path = tmp_path / "good.review"
    with closing(Session(path)) as session:
        session.set_defaults({"person": ""}, nested=False)
        session.add([annotated(f"document {number}") for number in range(20)], is_extracted=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def use(path: Path) -> None:
    with closing(Session(path)) as session:
        assert session.labels
        assert session.changes(0)
        session.document(1)
        session.uncertain_sentences(5)
        session.next_waiting()
        session.add([annotated("another")], is_extracted=False)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_session_is_read_or_an_error_of_ours(content: bytes, tmp_path: Path, seed: int) -> None:
    generator, problems = random.Random(seed), []
    for number in range(25):
        path = tmp_path / f"{number}.review"
        path.write_bytes(damage(content, generator))
        try:
            use(path)
        except DataError as error:
            problems.append(str(error))
    assert problems
    assert all("--session" in problem for problem in problems)


@pytest.mark.parametrize("size", [99, 100, 4096, 20_000])
def test_a_truncated_session_is_named(content: bytes, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.review"
    path.write_bytes(content[:size])
    with pytest.raises(DataError, match=r"short\.review: (not a review session|the session is damaged).*--session"):
        use(path)


def test_a_value_that_is_no_json_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.review"
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE settings SET value = '{' WHERE name = 'labels'")
        connection.commit()
    with pytest.raises(DataError, match=r"odd\.review: the session is damaged .*keep the file.*--session"):
        use(path)


def test_another_version_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "later.review"
    path.write_bytes(content.replace(b"entsemble.review/1", b"entsemble.review/9"))
    with pytest.raises(
        DataError, match=r"a session of another version \(entsemble\.review/9\); name another --session"
    ):
        use(path)
