"""Runs that are stopped, killed, repeated or reconfigured go on where they were."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult

Command = Callable[..., Any]

SCRIPTED = Path(__file__).with_name("scripted_run.py")


def lines(path: Path, count: int) -> Path:
    texts = [f"Ann {i} left Oslo. Then Ann came back from Oslo {i}." for i in range(count)]
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


def until_done(command: list[str], kills: int, longest: float, seed: int, **environment: str) -> int:
    """Run, kill after a random while, run again, until a run ends by itself; how often it was killed."""
    rng = random.Random(seed)
    killed = 0
    while True:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        try:
            _, err = process.communicate(timeout=rng.uniform(0, longest) if killed < kills else 900)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
            continue
        assert process.returncode == 0, err
        return killed


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_run_killed_again_and_again_loses_nothing(tmp_path: Path, kills: int) -> None:
    source = lines(tmp_path / "in.jsonl", 150)
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    until_done([sys.executable, str(SCRIPTED), str(source), str(whole)], 0, 0, 0)
    killed = 0
    for seed in range(100):
        found = until_done([sys.executable, str(SCRIPTED), str(source), str(output)], 20, 1.3, seed)
        assert output.read_bytes() == whole.read_bytes()
        assert not list(tmp_path.glob(".out*"))
        output.unlink()
        killed += found
        if killed >= kills:
            return
    pytest.fail(f"only {killed} kills came before the end")


@pytest.mark.slow
def test_two_processes_and_one_output(tmp_path: Path) -> None:
    """Whoever comes second is told so; in one folder, each writes its own."""
    source = lines(tmp_path / "in.jsonl", 300)
    outputs = [tmp_path / "out" / name for name in ("a.jsonl", "a.jsonl", "b.jsonl")]
    running = [
        subprocess.Popen(
            [sys.executable, SCRIPTED, source, o], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for o in outputs
    ]
    told = [process.communicate(timeout=600)[1] for process in running]
    codes = [process.returncode for process in running]
    assert codes[2] == 0
    assert 0 in codes[:2]
    if 1 in codes[:2]:  # unless one was done before the other had begun
        assert "another run is writing this output" in told[codes.index(1)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jsonl", "b.jsonl"]
    assert outputs[0].read_bytes() == outputs[2].read_bytes()
    assert len(outputs[0].read_text().splitlines()) == 300


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Ids move to a file, documents stream, the journal is on disk: 1,000 lines or 20,000."""
    peaks = []
    for count in (1_000, 20_000):
        source = tmp_path / f"{count}.jsonl"
        with source.open("w") as file:
            file.writelines(json.dumps({"id": f"d{i}", "text": "Nothing here."}) + "\n" for i in range(count))
        command: list[str | Path] = [sys.executable, SCRIPTED, source, tmp_path / f"out{count}.jsonl"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        peaks.append(int(ran.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 50, peaks


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_kills_of_the_embedded_models_change_no_byte(
    tmp_path: Path, kills: int, pool_file: Path, model_file: Callable[[str], Path]
) -> None:
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)
    source = lines(tmp_path / "in.jsonl", 4)
    config = tmp_path / "run.toml"
    config.write_text(f'threads = 1\n[pool]\npath = "{pool_file.name}"\nshots = 2\n[cache]\nreplies = false\n')
    entsemble = [sys.executable, "-c", "from entsemble.cli import main; main()", "extract", str(source)]
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    began = time.monotonic()
    until_done([*entsemble, "--config", str(config), "-o", str(whole)], 0, 0, 0)
    taken = time.monotonic() - began
    config.write_text(config.read_text().replace("replies = false", "replies = true"))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models").symlink_to(model_file("smollm2-135m").parents[1])
    killed = seed = 0
    while killed < kills:
        command = [*entsemble, "--config", str(config), "-o", str(output)]
        killed += until_done(command, kills - killed, taken, seed, ENTSEMBLE_CACHE=str(cache))
        assert output.read_bytes() == whole.read_bytes()
        output.unlink()
        (cache / "replies.sqlite").unlink()
        seed += 1


@pytest.mark.usefixtures("scripted", "plain_members")
class TestTheCommand:
    ASKED = ("--labels", "person,location", "--quiet")

    def test_a_run_with_failures_is_repeated_for_the_failed_alone(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = lines(tmp_path / "in.jsonl", 6), tmp_path / "out.jsonl"
        ran: list[str] = []
        run = Pipeline.run

        def failing(self: Pipeline, text: str) -> SentenceResult:
            ran.append(text)
            if "Ann 3" in text and len(ran) < 10:
                raise ModelUnavailableError("gone for a moment")
            return run(self, text)

        monkeypatch.setattr(Pipeline, "run", failing)
        first = command("extract", source, "-o", output, *self.ASKED)
        assert first.code == 1
        assert "d3: gone for a moment" in first.err
        assert [json.loads(x)["id"] for x in output.read_text().splitlines()] == ["d0", "d1", "d2", "d4", "d5"]
        ran.clear()
        ran += ["x"] * 10
        again = command("extract", source, "-o", output, "--labels", "person,location")
        assert again.code == 0
        assert "resuming: 5 documents already done" in again.err
        assert len(ran) == 10 + 2  # the two sentences of d3
        assert [json.loads(x)["id"] for x in output.read_text().splitlines()] == [f"d{i}" for i in range(6)]
        assert not list(tmp_path.glob(".out*"))

    def test_a_brat_folder_of_a_run_with_failures_is_replaced(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = lines(tmp_path / "in.jsonl", 3), tmp_path / "out"
        run = Pipeline.run

        def failing(self: Pipeline, text: str) -> SentenceResult:
            if "Ann 1" in text:
                raise ModelUnavailableError("gone")
            return run(self, text)

        asked = ("extract", source, "-o", output, "--format", "brat", "--labels", "person,location")
        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", failing)
            assert command(*asked).code == 1
        assert len(list(output.glob("*.txt"))) == 2
        again = command(*asked)
        assert again.code == 0, again.err
        assert "3 documents (2 from an earlier run), 2 sentences" in again.told
        assert len(list(output.glob("*.txt"))) == 3
        assert "no empty folder" in command(*asked).told

    def test_a_folder_where_a_file_shall_be_is_said_at_once(self, command: Command, tmp_path: Path) -> None:
        source, output = lines(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
        output.mkdir()
        ran = command("extract", source, "-o", output, "--format", "jsonl", *self.ASKED)
        assert (ran.code, "is a folder" in ran.told) == (65, True)

    def test_documents_without_a_member_are_done_again_with_all(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = lines(tmp_path / "in.jsonl", 4), tmp_path / "out.jsonl"
        config = tmp_path / "run.toml"
        config.write_text("quorum = 1\n")
        run = Pipeline.run

        def absent(self: Pipeline, text: str) -> SentenceResult:
            found = run(self, text)
            return replace(found, absent_members={"gemma-3-270m": "gone"}) if "Ann 2" in text else found

        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", absent)
            first = command("extract", source, "-o", output, *self.ASKED, "--config", config)
        assert first.code == 0
        assert "re-run the same command" in first.told
        assert [json.loads(x).get("meta") for x in output.read_text().splitlines()].count(None) == 3
        again = command("extract", source, "-o", output, "--labels", "person,location", "--config", config)
        assert again.code == 0
        assert "resuming: 3 documents already done" in again.err
        assert "absent" not in output.read_text()
        assert not list(tmp_path.glob(".out*"))

    def test_another_configuration_is_said_and_done_afresh(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = lines(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
        run = Pipeline.run

        def failing(self: Pipeline, text: str) -> SentenceResult:
            if "Ann 2" in text:
                raise ModelUnavailableError("gone")
            return run(self, text)

        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", failing)
            assert command("extract", source, "-o", output, *self.ASKED).code == 1
        ran = command("extract", source, "-o", output, "--labels", "person")
        assert ran.code == 0
        assert "2 documents of an earlier run are discarded, because the configuration changed (labels)" in ran.err
        assert '"location"' not in output.read_text()

    def test_stopping_finishes_what_is_in_flight_and_says_how_to_go_on(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, output = lines(tmp_path / "in.jsonl", 50), tmp_path / "out.jsonl"
        run = Pipeline.run
        count = 0

        def interrupting(self: Pipeline, text: str) -> SentenceResult:
            nonlocal count
            count += 1
            if count == 20:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)
            return run(self, text)

        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "run", interrupting)
            stopped = command("extract", source, "-o", output, *self.ASKED)
        assert stopped.code == 130
        assert "finishing the sentences in flight" in stopped.err
        assert "re-run the same command to resume" in stopped.err
        assert not output.exists()
        again = command("extract", source, "-o", output, "--labels", "person,location")
        assert again.code == 0
        assert "already done" in again.err
        assert len(output.read_text().splitlines()) == 50
