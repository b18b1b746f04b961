"""Sessions that a disk, a crash or another program damaged: what can be read is read, or the error is ours."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
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
        list(session.documents())
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


def test_another_version_is_named_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path, later = tmp_path / "later.review", content.replace(b"entsemble.review/1", b"entsemble.review/9")
    path.write_bytes(later)
    with pytest.raises(
        DataError, match=r"a session of another version \(entsemble\.review/9\); name another --session"
    ):
        use(path)
    assert path.read_bytes() == later


@pytest.mark.parametrize("byte", [b"S", b"A", b"\n"])
def test_a_file_of_one_byte_is_not_overwritten(tmp_path: Path, byte: bytes) -> None:
    path = tmp_path / "short.review"
    path.write_bytes(byte)
    with pytest.raises(DataError, match=r"short\.review: not a review session .*1 byte.*--session"):
        use(path)
    assert path.read_bytes() == byte


def test_the_log_of_an_emptied_session_is_kept(tmp_path: Path) -> None:
    path, emptied = tmp_path / "open.review", tmp_path / "emptied.review"
    with closing(Session(path)) as session:
        session.add([annotated()], is_extracted=False)
        shutil.copy(f"{path}-wal", f"{emptied}-wal")
    log = Path(f"{emptied}-wal").read_bytes()
    for is_there in (False, True):
        if is_there:
            emptied.touch()
        with pytest.raises(DataError, match=r"emptied\.review-wal is not\); keep both"):
            use(emptied)
        assert Path(f"{emptied}-wal").read_bytes() == log


@pytest.mark.parametrize("table", ["bookmarks (url)", "settings (name TEXT PRIMARY KEY, value TEXT)", "documents (id)"])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table}")
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"places\.sqlite: .*name another --session"):
        use(path)
    assert path.read_bytes() == before


def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.review")  # SQLite would wait for a writer
    for path in (tmp_path, tmp_path / "pipe.review"):
        with pytest.raises(DataError, match="not a file; name another --session"):
            use(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settings SET value = '[1]' WHERE name = 'labels'",
        "UPDATE settings SET value = '1e400' WHERE name = 'version'",
        "UPDATE settings SET value = 9223372036854775807 WHERE name = 'version'",
        "DELETE FROM settings WHERE name = 'labels'",
        "UPDATE documents SET text = x'ff00'",
        "UPDATE documents SET tokens = '[[1]]'",
        "UPDATE documents SET version = 1e300",
        "UPDATE documents SET state = 'odd'",
        "UPDATE documents SET id = id - 100",
        "UPDATE spans SET start = 'a'",
        "UPDATE spans SET start = -5",
        "UPDATE spans SET label = x'ff'",
        "UPDATE spans SET score = 'x'",
        "UPDATE spans SET facts = '3'",
        "UPDATE spans SET status = 'odd'",
        "UPDATE spans SET document = 77",
        "UPDATE sentences SET start = 'x'",
        "DELETE FROM documents",
        "DROP TABLE spans",
        "DROP TABLE edits",
        "CREATE TRIGGER t BEFORE INSERT ON documents BEGIN DELETE FROM documents; END",
    ],
)
def test_values_that_do_not_fit_together_are_named(content: bytes, tmp_path: Path, change: str) -> None:
    path = tmp_path / "odd.review"
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(DataError, match=r"odd\.review: the session is damaged .*keep the file.*--session"):
        use(path)


def remove(path: Path, _: bytes) -> None:
    path.unlink()


def replace(path: Path, content: bytes) -> None:
    (path.parent / "new").write_bytes(content)
    (path.parent / "new").replace(path)


def make_folder(path: Path, _: bytes) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [remove, replace, make_folder])
@pytest.mark.parametrize("is_used_again", [False, True])
def test_what_is_in_a_replaced_session_is_kept(
    content: bytes, tmp_path: Path, change: Callable[[Path, bytes], None], is_used_again: bool
) -> None:
    path = tmp_path / "texts.review"
    session = Session(path)
    session.add([annotated("mine")], is_extracted=False)
    change(path, content)
    with pytest.raises(DataError, match=r"replaced while it was open; its content is in .*texts\.rescued1\.review"):
        session.add([annotated("later")], is_extracted=False) if is_used_again else session.close()
    session.close()
    with closing(Session(tmp_path / "texts.rescued1.review")) as rescued:
        assert [document.id for document in rescued.documents()] == ["mine"]
    if change is replace:
        with closing(Session(path)) as new:
            assert len(list(new.documents())) == 20
    assert not list(tmp_path.glob("*rescued2*"))


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_session_that_is_truncated_while_open_takes_no_more_edits(content: bytes, tmp_path: Path, size: int) -> None:
    path = tmp_path / "texts.review"
    path.write_bytes(content)
    session = Session(path)
    os.truncate(path, size)
    with pytest.raises(DataError, match=r"texts\.review: the session was truncated while it was open"):
        session.add([annotated("later")], is_extracted=False)
    session.close()
