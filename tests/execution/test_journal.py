from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import DataError
from entsemble.execution.journal import Journal, resume
from entsemble.execution.threads import LocalMapper


def test_what_was_recorded_is_there_after_the_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "out.jsonl")
    assert journal.begin({"labels": "1"}) == (0, [])
    journal.append(b"k", {"x": [1, 0.1, "é"]})
    journal.close()
    again = Journal(tmp_path / "new" / "out.jsonl")
    assert again.begin({"labels": "1"}) == (1, [])
    assert again.get(b"k") == {"x": [1, 0.1, "é"]}
    assert again.get(b"other") is None
    again.remove()
    assert list((tmp_path / "new").iterdir()) == []


def test_another_configuration_begins_afresh_and_says_what_changed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out")
    journal.begin({"labels": "1", "pool": "a", "seed": "0"})
    journal.append(b"k", 1)
    journal.close()
    again = Journal(tmp_path / "out")
    assert again.begin({"labels": "2", "pool": "a", "member x": "m"}) == (1, ["labels", "member x", "seed"])
    assert again.get(b"k") is None
    again.close()
    assert not again.path.exists(), "an empty record is not left behind"


def _hold(output: Path, held: Event, done: Event) -> None:
    journal = Journal(output)
    journal.begin({})
    held.set()
    done.wait(600)
    journal.close()


def test_two_runs_cannot_write_one_output(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "out.jsonl", held, done))
    process.start()
    assert held.wait(600)
    with pytest.raises(DataError, match=r"out\.jsonl: another run is writing this output"):
        Journal(tmp_path / "out.jsonl")
    Journal(tmp_path / "other.jsonl").close()
    done.set()
    process.join()
    Journal(tmp_path / "out.jsonl").close()


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / ".out.journal").write_text("not a database at all, whatever its name says" * 50)
    with pytest.raises(DataError, match="no journal"):
        Journal(tmp_path / "out")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError):
        Journal(tmp_path / "file" / "out")


@given(st.lists(st.booleans(), max_size=600), st.integers(1, 4))
def test_every_input_gives_one_output_in_order(done: list[bool], ahead: int) -> None:
    ran: list[int] = []

    def run(pending: Iterator[int]) -> Iterator[str]:
        while block := list(islice(pending, ahead)):  # taken in ahead of its outputs, as by a pool of workers
            ran.extend(block)
            yield from map(str, block)

    outputs = list(resume(range(len(done)), lambda i: str(i) if done[i] else None, run))
    assert outputs == [str(i) for i in range(len(done))]
    assert ran == [i for i, known in enumerate(done) if not known]


def test_known_inputs_are_not_gathered_before_they_are_passed_on() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    outputs = resume(endless(), lambda i: i, lambda pending: iter(list(pending)))
    assert list(islice(outputs, 1000)) == list(range(1, 1001))
    assert taken < 2000


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_stopped_run_ends(at: int) -> None:
    mapper = LocalMapper(1)

    def work(i: int) -> int:
        if i >= at:
            mapper.stop()
        return i

    if at == 0:
        mapper.stop()
    outputs = list(resume(count(), lambda _: None, lambda pending: mapper.map(work, pending)))
    assert outputs == list(range(len(outputs)))
    assert len(outputs) <= at + 3


def test_a_record_is_whole_or_absent(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out")
    journal.begin({})
    for i in range(100):
        journal.append(b"%d" % i, {"i": i})
    copied = tmp_path / "copy"  # what a killed process leaves: no checkpoint, no close
    copied.write_bytes(journal.path.read_bytes())
    wal = journal.path.with_name(journal.path.name + "-wal").read_bytes()
    (tmp_path / "copy-wal").write_bytes(wal[: len(wal) // 2 + 7])
    with sqlite3.connect(copied) as connection:
        rows = connection.execute("SELECT input, output FROM done ORDER BY CAST(input AS INTEGER)").fetchall()
    connection.close()
    journal.remove()
    assert 0 < len(rows) < 100
    assert all(output == f'{{"i": {i}}}' for i, (_, output) in enumerate(rows))


def test_whoever_waited_for_a_run_that_ended_gets_a_journal_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entsemble.execution.journal._PATIENCE", 600)  # it is not about who is refused

    def run(_: int) -> object:
        journal = Journal(tmp_path / "out.jsonl")
        held, _changed = journal.begin({})
        journal.append(b"k", 1)
        found = held, journal.get(b"k"), journal.path.exists()
        journal.remove()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, range(40))) == {(0, 1, True)}
    assert list(tmp_path.iterdir()) == []
