"""What a run records, for whom, and how a later run resumes."""

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

from entsemble.errors import DataError, InUseError
from entsemble.execution.journal import Journal, resume
from entsemble.execution.threads import LocalMapper


class TestJournal:
    def test_records_are_there_for_the_next_run(self, tmp_path: Path) -> None:
        output = tmp_path / "new" / "out.jsonl"
        journal = Journal(output)
        assert journal.begin({"labels": "1"}) == (0, [])
        journal.append(b"k", {"x": [1, 0.1, "é"]})
        journal.close()
        reopened = Journal(output)
        assert reopened.begin({"labels": "1"}) == (1, [])
        assert reopened.get(b"k") == {"x": [1, 0.1, "é"]}
        assert reopened.get(b"other") is None
        reopened.remove()
        assert list(output.parent.iterdir()) == []

    def test_another_configuration_deletes_the_records_and_is_named(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "out")
        journal.begin({"labels": "1", "pool": "a", "seed": "0"})
        journal.append(b"k", 1)
        journal.close()
        reopened = Journal(tmp_path / "out")
        assert reopened.begin({"labels": "2", "pool": "a", "member x": "m"}) == (1, ["labels", "member x", "seed"])
        assert reopened.get(b"k") is None
        reopened.close()
        assert not reopened.path.exists(), "an empty journal is not left behind"

    def test_two_runs_cannot_write_one_output(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        is_open, may_close = context.Event(), context.Event()
        process = context.Process(target=_keep_open, args=(tmp_path / "out.jsonl", is_open, may_close))
        process.start()
        assert is_open.wait(600)
        with pytest.raises(
            InUseError, match=rf"out\.jsonl: process {process.pid} \(at work since \d{{4}}-.*\) is writing this"
        ):
            Journal(tmp_path / "out.jsonl")
        Journal(tmp_path / "other.jsonl").close()
        may_close.set()
        process.join()
        Journal(tmp_path / "out.jsonl").close()

    def test_runs_that_wait_for_one_another_each_get_an_empty_journal(self, tmp_path: Path) -> None:
        def run(_: int) -> object:
            journal = Journal(tmp_path / "out.jsonl", lock_timeout=600)
            record_count, _changed = journal.begin({})
            journal.append(b"k", 1)
            state = record_count, journal.get(b"k"), journal.path.exists()
            journal.remove()
            return state

        with ThreadPoolExecutor(4) as executor:
            assert set(executor.map(run, range(40))) == {(0, 1, True)}
        assert list(tmp_path.iterdir()) == []

    def test_a_record_is_whole_or_absent_after_a_kill(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "out")
        journal.begin({})
        for number in range(100):
            journal.append(b"%d" % number, {"i": number})
        copied = tmp_path / "copy"  # as a killed process leaves it: no checkpoint, not closed
        copied.write_bytes(journal.path.read_bytes())
        log = journal.path.with_name(journal.path.name + "-wal").read_bytes()
        (tmp_path / "copy-wal").write_bytes(log[: len(log) // 2 + 7])
        with sqlite3.connect(copied) as connection:
            rows = connection.execute("SELECT input, output FROM done ORDER BY CAST(input AS INTEGER)").fetchall()
        connection.close()
        journal.remove()
        assert 0 < len(rows) < 100
        assert all(output.endswith(b'{"i": %d}' % number) for number, (_, output) in enumerate(rows))

    def test_only_its_owner_can_read_it_and_its_log(self, tmp_path: Path) -> None:
        (tmp_path / ".out.journal").touch(0o644)  # of an older version
        journal = Journal(tmp_path / "out")
        journal.begin({})
        journal.append(b"k", 1)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob(".out.journal*")}
        assert modes == {".out.journal": 0o600, ".out.journal-wal": 0o600}
        journal.remove()

    def test_a_file_that_is_not_a_journal_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".out.journal").write_text("not a database at all, whatever its name" * 50)
        with pytest.raises(DataError, match="not a journal"):
            Journal(tmp_path / "out")

    def test_a_folder_that_cannot_be_written_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError):
            Journal(tmp_path / "file" / "out")


def _keep_open(output: Path, is_open: Event, may_close: Event) -> None:
    journal = Journal(output)
    journal.begin({})
    is_open.set()
    may_close.wait(600)
    journal.close()


class TestResume:
    @given(st.lists(st.booleans(), max_size=600), st.integers(1, 4))
    def test_every_input_has_one_output_in_order(self, is_recorded: list[bool], block_size: int) -> None:
        inputs_run: list[int] = []

        def run(missing: Iterator[int]) -> Iterator[str]:
            while block := list(islice(missing, block_size)):  # read ahead of their outputs, as by workers
                inputs_run.extend(block)
                yield from map(str, block)

        outputs = list(resume(range(len(is_recorded)), lambda i: str(i) if is_recorded[i] else None, run))
        assert outputs == [str(number) for number in range(len(is_recorded))]
        assert inputs_run == [number for number, recorded in enumerate(is_recorded) if not recorded]

    def test_recorded_outputs_are_not_gathered_before_they_are_yielded(self) -> None:
        numbers_read = 0

        def endless() -> Iterator[int]:
            nonlocal numbers_read
            while True:
                numbers_read += 1
                yield numbers_read

        outputs = resume(endless(), lambda number: number, lambda missing: iter(list(missing)))
        assert list(islice(outputs, 1000)) == list(range(1, 1001))
        assert numbers_read < 2000

    @pytest.mark.parametrize("stop_at", [0, 1, 5])
    def test_the_outputs_end_where_the_run_is_stopped(self, stop_at: int) -> None:
        mapper = LocalMapper(1)

        def work(number: int) -> int:
            if number >= stop_at:
                mapper.stop()
            return number

        if stop_at == 0:
            mapper.stop()
        outputs = list(resume(count(), lambda _: None, lambda missing: mapper.map(work, missing)))
        assert outputs == list(range(len(outputs)))
        assert len(outputs) <= stop_at + 3
