"""Signals and failing streams, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and pipes")

ENTSEMBLE = [sys.executable, "-m", "entsemble"]

STUBBORN = """
import sys, time
from pathlib import Path
from entsemble import cli
from entsemble._lib.atomic import replacing
from entsemble.cli import interrupt

interrupt.SECONDS_TO_END = 2

@cli.root.command()
def stubborn():
    with replacing(Path(sys.argv[2])) as replacement:
        replacement.write_text("new")
        print("started", flush=True)
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass

sys.argv = ["entsemble", "stubborn", *sys.argv[1:]]
cli.root.commands["stubborn"].params = []
cli.root.commands["stubborn"].allow_extra_args = True
cli.main()
"""
"""Does not end when it is asked to."""

SERVER = """
import ctypes, os, signal, sys, time
from entsemble.cli import interrupt

interrupt.SECONDS_TO_END = 300
interrupt._SYSTEM_SECONDS = 0.5

def handle(*_):
    if "holds the interpreter" in sys.argv:
        time.sleep(0.5)
        ctypes.PyDLL(None).sleep(600)

with interrupt.terminable(), interrupt.server_deadline(1):
    signal.signal(signal.SIGTERM, handle)
    print("started", flush=True)
    while True:
        time.sleep(600)
"""
"""Handles signals itself, as a server does, and does not end."""

INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, *_):
        if name == "entsemble.cli.extract":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt)
from entsemble.__main__ import main
main()
"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Enough documents to fill the buffer of a pipe."""
    path = tmp_path / "in.jsonl"
    with path.open("w") as file:
        for number in range(3000):
            mention = {"start": 0, "end": 3, "label": "person"}
            file.write(json.dumps({"id": str(number), "text": "Ann left. " * 9, "mentions": [mention]}) + "\n")
    return path


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A `convert` that has opened its output and waits for its input."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "out.jsonl").write_text("old")
    process = subprocess.Popen(
        [*ENTSEMBLE, "convert", "pipe.jsonl", "out.jsonl"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    with (tmp_path / "pipe.jsonl").open("wb"):  # when the process opens it too
        while not list(tmp_path.glob(".out.jsonl.*.replacing/out.jsonl")):
            time.sleep(0.02)
        yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_one_line_and_leaves_nothing(
    waiting: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    waiting.send_signal(number)
    _, messages = waiting.communicate(timeout=60)
    assert messages.split("\n")[-2:] == ["entsemble: stopped", ""]
    assert "Traceback" not in messages
    assert waiting.returncode == 128 + number
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "pipe.jsonl"]


def test_a_second_run_says_which_process_has_the_output(waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"text": "Ann"}\n')
    second = subprocess.run(
        [*ENTSEMBLE, "convert", "other.jsonl", "out.jsonl"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert second.returncode == 65
    assert second.stderr.startswith(f"entsemble: out.jsonl: process {waiting.pid} (at work since ")
    assert second.stderr.endswith("is writing this; wait for it, stop it, or name another output\n")
    waiting.kill()
    waiting.wait()
    third = subprocess.run([*ENTSEMBLE, "convert", "other.jsonl", "out.jsonl"], cwd=tmp_path, check=False)
    assert third.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.jsonl", "out.jsonl", "pipe.jsonl"]


@pytest.mark.parametrize(("number", "count"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGINT, 2)])
def test_a_command_that_does_not_end_is_ended(tmp_path: Path, number: signal.Signals, count: int) -> None:
    output = tmp_path / "out"
    output.write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, output], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    for _ in range(count):
        time.sleep(0.2)  # it begins to sleep, or notices the signal before
        process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert (process.returncode, messages) == (128 + number, "\nentsemble: stopped\n")
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (143, "\nentsemble: stopped\n")),
        (["holds the interpreter"], (-signal.SIGALRM, "")),
    ],
)
def test_a_server_that_does_not_end_is_ended(arguments: list[str], expected: tuple[int, str]) -> None:
    command = [sys.executable, "-c", SERVER, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert (process.returncode, messages) == expected
    assert time.monotonic() - started < 30


def test_ctrl_c_during_the_imports_is_one_line() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, "extract", "--help"]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (130, "", "\nentsemble: stopped\n")


def test_a_fault_in_a_library_is_not_called_an_interrupt(tmp_path: Path, documents: Path) -> None:
    (tmp_path / "xlsxwriter.py").write_text("raise EOFError('marshal data too short')\n")
    failed = subprocess.run(
        [*ENTSEMBLE, "convert", documents, "out.xlsx"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.endswith("EOFError: marshal data too short\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_the_command_in_silence(documents: Path, unbuffered: str) -> None:
    process = subprocess.Popen(
        [*ENTSEMBLE, "convert", documents, "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith('{"id": "0"')
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
class TestFullDisk:
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("arguments", [("--help",), ("convert", "IN", "-"), ("score", "IN", "IN", "--json", "-")])
    def test_of_standard_output_is_one_line(self, documents: Path, arguments: tuple[str, ...], unbuffered: str) -> None:
        words = [str(documents) if word == "IN" else word for word in arguments]
        with Path("/dev/full").open("wb") as full:
            failed = subprocess.run(
                [*ENTSEMBLE, *words],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                check=False,
            )
        assert failed.returncode == 74
        assert failed.stderr == (
            "entsemble: standard output cannot be written: No space left on device; "
            "free some space, or write to another disk\n"
        )

    def test_of_standard_error_loses_no_result(self, documents: Path) -> None:
        with Path("/dev/full").open("wb") as full:
            converted = subprocess.run(
                [*ENTSEMBLE, "convert", documents, "-"], stdout=subprocess.PIPE, stderr=full, check=False
            )
        assert converted.returncode == 0
        assert len(converted.stdout.splitlines()) == 3000

    @pytest.mark.parametrize(
        "arguments",
        [
            ("score", "in.jsonl", "in.jsonl", "--json", "out"),
            ("score", "in.jsonl", "in.jsonl", "--html", "out"),
            ("convert", "in.jsonl", "out", "--to", "jsonl"),
            ("convert", "in.jsonl", "out", "--to", "conll"),
            ("convert", "in.jsonl", "out", "--to", "parquet"),
        ],
    )
    def test_leaves_the_old_file(self, documents: Path, arguments: tuple[str, ...]) -> None:
        output = documents.with_name("out")
        output.write_text("old")
        failed = subprocess.run(
            ["bash", "-c", 'ulimit -f 2; exec "$@"', "bash", *ENTSEMBLE, *arguments],
            cwd=documents.parent,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # Python would keep the modules that it cuts off
            capture_output=True,
            text=True,
            check=False,
        )
        assert failed.returncode == 65
        assert "Traceback" not in failed.stderr
        assert failed.stderr.startswith("entsemble: out: cannot be written: ")
        assert "File too large" in failed.stderr
        assert output.read_text() == "old"
        assert sorted(path.name for path in documents.parent.iterdir()) == ["in.jsonl", "out"]


def test_a_closed_standard_output_is_an_error(documents: Path) -> None:
    command = f"{sys.executable} -m entsemble convert {documents} - >&-"
    failed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert failed.returncode == 65
    assert failed.stderr == "entsemble: standard output is closed; name a file for the documents\n"
