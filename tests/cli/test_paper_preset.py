"""`--preset paper`, EL4NER as published: four stages with three models behind servers over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly.model_pool import ModelPool
from tests.backends.openai.simulated import SimulatedServer
from tests.backends.openai.stand_in import API_KEY, serving
from tests.conftest import Command, TrigramEncoder

ANN, OSLO, BO = {"Ann": "person"}, {"Oslo": "place"}, {"Bo": "person"}
MODELS = {
    "glm-4-9b": ("zai-org/glm-4-9b-chat-hf", {**ANN, **OSLO, "Quartz": "person"}),
    "phi-4": ("microsoft/phi-4", {**ANN, **BO, "Oslo": "person", "Quartz": "person"}),
    "qwen2.5-14b": ("Qwen/Qwen2.5-14B-Instruct", {**ANN, **OSLO, **BO}),
}
POOL = [
    ("Carla left Rome.", {"Carla": "person", "Rome": "place"}),
    ("Snow fell on Turin.", {"Turin": "place"}),
    ("Emma met Felix.", {"Emma": "person", "Felix": "person"}),
]


@pytest.fixture
def servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, SimulatedServer]]:
    """The preset's three models at servers of this machine, by the names of the members; `paper.toml` has addresses."""
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("ENTSEMBLE_API_KEY", API_KEY)
    monkeypatch.setattr(ModelPool, "encoder", lambda _: TrigramEncoder())
    names = {"Carla": "person", "Rome": "place", "Turin": "place", "Emma": "person", "Felix": "person"}
    simulated = {name: SimulatedServer({**names, **entities}) for name, (_, entities) in MODELS.items()}
    with ExitStack() as stack:
        tables = [
            f'[[members]]\nname = "{name}"\nmodel = "openai:{model}"\n'
            f'base_url = "{stack.enter_context(serving(simulated[name]))}"\n'
            for name, (model, _) in MODELS.items()
        ]
        (tmp_path / "paper.toml").write_text("\n".join(tables))
        pool = [{"text": text, "mentions": [mention(text, *item) for item in names.items()]} for text, names in POOL]
        (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, pool)))
        yield simulated


def mention(text: str, surface: str, label: str) -> dict[str, Any]:
    return {"start": text.index(surface), "end": text.index(surface) + len(surface), "label": label}


def test_all_four_stages_run_against_three_servers(
    command: Command, servers: dict[str, SimulatedServer], tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("Ann met Bo in Oslo near Quartz.")
    result = command(
        "extract", tmp_path / "in.txt", "--preset", "paper", "--config", tmp_path / "paper.toml",
        "--pool", tmp_path / "pool.jsonl", "--ledger", "-o", tmp_path / "out.jsonl",
    )  # fmt: skip
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "out.jsonl").read_text())
    found = document["mentions"]
    # the majority types Oslo a place; two of three take Quartz for a person, and the verifier denies it
    assert [(one["text"], one["label"]) for one in found] == [("Ann", "person"), ("Bo", "person"), ("Oslo", "place")]
    assert found[2]["votes"] == {"glm-4-9b": "place", "phi-4": "person", "qwen2.5-14b": "place"}
    fates = {entry["text"]: entry["fate"] for entry in document["meta"]["entsemble"]["ledger"]}
    assert fates["Quartz"] == "denied by the verifier"
    for name in MODELS:
        assert f"{name} at http://127.0.0.1" in result.messages
        assert "raw prompts, log-probabilities of 20 tokens" in result.messages

    verifier = [body["prompt"] for _, body in servers["qwen2.5-14b"].requests]
    others = [body["prompt"] for name in ("glm-4-9b", "phi-4") for _, body in servers[name].requests]
    assert any(prompt.endswith("Quartz = person?") for prompt in verifier)
    assert not any(prompt.endswith("?") for prompt in others)
    for server in servers.values():
        prompts = [body["prompt"] for _, body in server.requests]
        for text, _ in POOL:  # pre-extracted by every member, without demonstrations, once
            alone = [prompt for prompt in prompts if prompt.endswith(f"Text: {text}\nEntities:")]
            assert len(alone) == 1
            assert prompts[-1].count("Text: ") == len(POOL) + 1  # all of the pool are demonstrations


def test_a_second_run_pre_extracts_nothing(
    command: Command, servers: dict[str, SimulatedServer], tmp_path: Path
) -> None:
    for number, text in enumerate(("Ann left.", "Oslo is far.")):
        (tmp_path / f"{number}.txt").write_text(text)
        before = {name: len(server.requests) for name, server in servers.items()}
        result = command(
            "extract", tmp_path / f"{number}.txt", "--preset", "paper", "--config", tmp_path / "paper.toml",
            "--pool", tmp_path / "pool.jsonl", "-o", tmp_path / f"{number}.jsonl", "--quiet",
        )  # fmt: skip
        assert result.code == 0, result.err
        for name, server in servers.items():
            prompts = [body["prompt"] for _, body in server.requests[before[name] :]]
            pre_extracted = [prompt for prompt in prompts if prompt.endswith("Text: Carla left Rome.\nEntities:")]
            assert len(pre_extracted) == (number == 0)


def test_a_server_that_is_down_ends_the_pre_extraction(
    command: Command, servers: dict[str, SimulatedServer], tmp_path: Path
) -> None:
    config = (tmp_path / "paper.toml").read_text()
    address = config.partition('name = "phi-4"')[2].partition('base_url = "')[2].partition('"')[0]
    (tmp_path / "paper.toml").write_text(config.replace(f'"{address}"', '"http://127.0.0.1:9/v1"\nretries = 0'))
    (tmp_path / "in.txt").write_text("Ann left.")
    result = command(
        "extract", tmp_path / "in.txt", "--preset", "paper", "--config", tmp_path / "paper.toml",
        "--pool", tmp_path / "pool.jsonl", "-o", tmp_path / "out.jsonl",
    )  # fmt: skip
    assert result.code == 69
    assert "phi-4" in result.messages
    assert "cannot reach http://127.0.0.1:9/v1/completions" in result.messages
    assert servers["glm-4-9b"].requests
