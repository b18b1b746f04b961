"""Runs that are stopped, killed, repeated or reconfigured."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult

Command = Callable[..., Any]
Intercept = Callable[[Callable[[str], None]], AbstractContextManager[None]]

SCRIPTED = Path(__file__).with_name("scripted_run.py")


def write_inputs(path: Path, count: int) -> Path:
    texts = [f"Ann {i} left Oslo. Then Ann came back from Oslo {i}." for i in range(count)]
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


def run_with_kills(command: list[str], max_kills: int, max_seconds: float, seed: int, **environment: str) -> int:
    """Run, kill after a random time, and run again until a run finishes; returns the number of kills."""
    generator = random.Random(seed)
    kill_count = 0
    while True:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        try:
            _, err = process.communicate(timeout=generator.uniform(0, max_seconds) if kill_count < max_kills else 900)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kill_count += 1
            continue
        assert process.returncode == 0, err
        return kill_count


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_run_that_is_killed_repeatedly_writes_the_same_output(tmp_path: Path, kills: int) -> None:
    source = write_inputs(tmp_path / "in.jsonl", 150)
    expected, output = tmp_path / "expected.jsonl", tmp_path / "out.jsonl"
    run_with_kills([sys.executable, str(SCRIPTED), str(source), str(expected)], 0, 0, 0)
    kill_count = 0
    for seed in range(100):
        kill_count += run_with_kills([sys.executable, str(SCRIPTED), str(source), str(output)], 20, 1.3, seed)
        assert output.read_bytes() == expected.read_bytes()
        assert not list(tmp_path.glob(".out*"))
        output.unlink()
        if kill_count >= kills:
            return
    pytest.fail(f"only {kill_count} runs were killed before they finished")


@pytest.mark.slow
def test_two_processes_cannot_write_one_output(tmp_path: Path) -> None:
    """The second one fails; outputs in the same folder do not disturb each other."""
    source = write_inputs(tmp_path / "in.jsonl", 300)
    outputs = [tmp_path / "out" / name for name in ("a.jsonl", "a.jsonl", "b.jsonl")]
    running = [
        subprocess.Popen(
            [sys.executable, SCRIPTED, source, o], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for o in outputs
    ]
    messages = [process.communicate(timeout=600)[1] for process in running]
    codes = [process.returncode for process in running]
    assert codes[2] == 0
    assert 0 in codes[:2]
    if 1 in codes[:2]:  # unless one finished before the other started
        assert "is writing this; wait for it" in messages[codes.index(1)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jsonl", "b.jsonl"]
    assert outputs[0].read_bytes() == outputs[2].read_bytes()
    assert len(outputs[0].read_text().splitlines()) == 300


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Ids spill to a file, documents stream, and the journal is on disk."""
    peaks = []
    for count in (1_000, 20_000):
        source = tmp_path / f"{count}.jsonl"
        with source.open("w") as file:
            file.writelines(json.dumps({"id": f"d{i}", "text": "Nothing here."}) + "\n" for i in range(count))
        command: list[str | Path] = [sys.executable, SCRIPTED, source, tmp_path / f"out{count}.jsonl"]
        finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        peaks.append(int(finished.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 50, peaks


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_kills_with_embedded_models_do_not_change_the_output(
    tmp_path: Path, kills: int, pool_file: Path, model_file: Callable[[str], Path]
) -> None:
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)
    source = write_inputs(tmp_path / "in.jsonl", 4)
    config = tmp_path / "run.toml"
    config.write_text(f'threads = 1\n[pool]\npath = "{pool_file.name}"\nshots = 2\n[cache]\nreplies = false\n')
    entsemble = [sys.executable, "-m", "entsemble", "extract", str(source), "--preset", "balanced"]
    expected, output = tmp_path / "expected.jsonl", tmp_path / "out.jsonl"
    start_time = time.monotonic()
    run_with_kills([*entsemble, "--config", str(config), "-o", str(expected)], 0, 0, 0)
    seconds = time.monotonic() - start_time
    config.write_text(config.read_text().replace("replies = false", "replies = true"))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models").symlink_to(model_file("smollm2-135m").parents[1])
    kill_count = seed = 0
    while kill_count < kills:
        command = [*entsemble, "--config", str(config), "-o", str(output)]
        kill_count += run_with_kills(command, kills - kill_count, seconds, seed, ENTSEMBLE_CACHE=str(cache))
        assert output.read_bytes() == expected.read_bytes()
        output.unlink()
        (cache / "replies.sqlite").unlink()
        seed += 1


LABELS = ("--labels", "person,location")


@pytest.fixture
def intercept(monkeypatch: pytest.MonkeyPatch) -> Intercept:
    """Within a block, calls a function before each sentence; an error that it raises fails the document."""

    @contextmanager
    def patched(before_sentence: Callable[[str], None]) -> Iterator[None]:
        run_pipeline = Pipeline.run

        def intercepted(self: Pipeline, text: str) -> SentenceResult:
            before_sentence(text)
            return run_pipeline(self, text)

        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", intercepted)
            yield

    return patched


def fail_on(word: str) -> Callable[[str], None]:
    def before_sentence(text: str) -> None:
        if word in text:
            raise ModelUnavailableError("gone for a moment")

    return before_sentence


def ids(output: Path) -> list[str]:
    return [json.loads(line)["id"] for line in output.read_text().splitlines()]


@pytest.mark.usefixtures("scripted", "plain_members")
class TestResuming:
    def test_only_failed_documents_are_retried(self, command: Command, tmp_path: Path, intercept: Intercept) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 6), tmp_path / "out.jsonl"
        with intercept(fail_on("Ann 3")):
            first = command("extract", source, "-o", output, *LABELS, "--quiet")
        assert first.code == 1
        assert "d3: gone for a moment" in first.err
        assert ids(output) == ["d0", "d1", "d2", "d4", "d5"]
        sentences: list[str] = []
        with intercept(sentences.append):
            second = command("extract", source, "-o", output, *LABELS)
        assert second.code == 0
        assert "resuming: 5 documents already done" in second.err
        assert len(sentences) == 2, "the two sentences of d3"
        assert ids(output) == [f"d{number}" for number in range(6)]
        assert not list(tmp_path.glob(".out*"))

    @pytest.mark.filterwarnings("ignore::entsemble.errors.EntsembleWarning")  # of what the format does not store
    def test_the_brat_folder_of_a_run_with_failures_is_replaced(
        self, command: Command, tmp_path: Path, intercept: Intercept
    ) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 3), tmp_path / "out"
        arguments = ("extract", source, "-o", output, "--format", "brat", *LABELS)
        with intercept(fail_on("Ann 1")):
            assert command(*arguments).code == 1
        assert len(list(output.glob("*.txt"))) == 2
        second = command(*arguments)
        assert second.code == 0, second.err
        assert "3 documents (2 from an earlier run), 2 sentences" in second.messages
        assert len(list(output.glob("*.txt"))) == 3
        assert "not an empty folder" in command(*arguments).messages

    def test_a_folder_instead_of_a_file_is_refused(self, command: Command, tmp_path: Path) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
        output.mkdir()
        result = command("extract", source, "-o", output, "--format", "jsonl", *LABELS, "--quiet")
        assert (result.code, "is a folder" in result.messages) == (65, True)

    def test_documents_without_a_member_are_repeated_with_all_members(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 4), tmp_path / "out.jsonl"
        config = tmp_path / "run.toml"
        config.write_text("quorum = 1\n")
        run_pipeline = Pipeline.run

        def without_a_member(self: Pipeline, text: str) -> SentenceResult:
            result = run_pipeline(self, text)
            return replace(result, absent_members={"gemma-3-270m": "gone"}) if "Ann 2" in text else result

        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", without_a_member)
            first = command("extract", source, "-o", output, *LABELS, "--quiet", "--config", config)
        assert first.code == 0
        assert "re-run the same command" in first.messages
        assert [json.loads(line).get("meta") for line in output.read_text().splitlines()].count(None) == 3
        second = command("extract", source, "-o", output, *LABELS, "--config", config)
        assert second.code == 0
        assert "resuming: 3 documents already done" in second.err
        assert "absent" not in output.read_text()
        assert not list(tmp_path.glob(".out*"))

    def test_results_of_another_configuration_are_discarded(
        self, command: Command, tmp_path: Path, intercept: Intercept
    ) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
        with intercept(fail_on("Ann 2")):
            assert command("extract", source, "-o", output, *LABELS, "--quiet").code == 1
        result = command("extract", source, "-o", output, "--labels", "person")
        assert result.code == 0
        assert "2 documents of an earlier run are discarded, because the configuration changed (labels)" in result.err
        assert '"location"' not in output.read_text()

    def test_ctrl_c_finishes_the_sentences_in_flight_and_says_how_to_resume(
        self, command: Command, tmp_path: Path, intercept: Intercept
    ) -> None:
        source, output = write_inputs(tmp_path / "in.jsonl", 50), tmp_path / "out.jsonl"
        sentences: list[str] = []

        def interrupt(text: str) -> None:
            sentences.append(text)
            if len(sentences) == 20:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)

        with intercept(interrupt):
            stopped = command("extract", source, "-o", output, *LABELS, "--quiet")
        assert stopped.code == 130
        assert "finishing the sentences in flight" in stopped.err
        assert "re-run the same command to resume" in stopped.err
        assert not output.exists()
        second = command("extract", source, "-o", output, *LABELS)
        assert second.code == 0
        assert "already done" in second.err
        assert len(output.read_text().splitlines()) == 50
