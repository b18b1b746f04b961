"""The commands on the embedded models, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.models

TEXT = "Dora Keller moved to Graz.\n\n😀 In Graz, Dora met Emil שלום.\n"


@pytest.fixture(scope="module", autouse=True)
def require_models(model_file: Callable[[str], Path]) -> None:
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)


BALANCED = ("--preset", "balanced")


@pytest.fixture
def config(tmp_path: Path, pool_file: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(f'threads = 1\ncache.replies = false\n[pool]\npath = "{pool_file.name}"\nshots = 3\n')
    return path


def entsemble(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entsemble", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=900,
    )


def documents(output: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    for document in parsed:
        for m in document["mentions"]:
            assert document["text"][m["start"] : m["end"]] == m["text"]
            assert 0 <= m["score"] <= 1
            assert set(m["votes"]) - {"pool"} == {"smollm2-135m", "gemma-3-270m"}
    return parsed


def test_standard_output_has_only_results(config: Path) -> None:
    result = entsemble("extract", "-", *BALANCED, "--config", config, "--json", stdin=TEXT)
    assert result.returncode == 0, result.stderr
    [document] = documents(result.stdout)
    assert document["text"] == TEXT
    assert any("Dora" in m["text"] and m["label"] == "person" for m in document["mentions"])
    starts = [m["start"] for m in document["mentions"] if m["text"] == "Dora"]
    assert len(set(starts)) == len(starts)
    summary = json.loads(result.stderr.splitlines()[-1])
    assert (summary["documents"], summary["failed"]) == (1, [])
    assert summary["prompt_tokens_evaluated"] < 0.6 * summary["prompt_tokens_submitted"]


def test_vote_weights_are_learned_once_and_reused(config: Path) -> None:
    config.write_text(config.read_text() + "[stacking]\nsentences = 10\n")
    arguments = ("extract", "-", *BALANCED, "--config", config, "--model", "smollm2-135m", "--quiet")
    runs = [entsemble(*arguments, stdin="Dora Keller moved to Graz.") for _ in range(2)]
    assert [(r.returncode, r.stderr) for r in runs] == [(0, "")] * 2
    assert runs[0].stdout == runs[1].stdout, "learned by the first run, reused by the second"
    mentions = json.loads(runs[0].stdout)["mentions"]
    labels = {word: m["label"] for m in mentions for word in m["text"].split()}
    assert (labels["Dora"], labels["Graz"]) == ("person", "location")
    assert all(0 < m["score"] < 1 for m in mentions)


def test_a_folder_is_extracted_to_the_same_file_each_time(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, encoding="utf-8")
    (folder / "b.txt").write_text("The museum in Riga thanked Chen Wei.", encoding="utf-8")
    outputs = []
    for name in ("1.jsonl", "2.jsonl"):
        result = entsemble(
            "extract", folder, *BALANCED, "--config", config, "-o", tmp_path / name, "--ledger", "--quiet"
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        outputs.append((tmp_path / name).read_text(encoding="utf-8"))
    assert outputs[0] == outputs[1]
    assert [d["id"] for d in documents(outputs[0])] == ["a.txt", "b.txt"]
    fates = {e["fate"] for d in documents(outputs[0]) for e in d["meta"]["entsemble"]["ledger"]}
    assert "kept" in fates


def test_a_report_has_all_parts(config: Path, pool_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    result = entsemble(
        "evaluate", pool_file, *BALANCED, "--config", config, "--json", out, "--limit", "4", "--seed", "1"
    )
    assert result.returncode == 0, result.stderr
    assert "micro" in result.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    expected_keys = {
        "schema": None,
        "micro": {"precision", "recall", "f1", "tp", "fp", "fn", "f1_ci95"},
        "labels": {"person", "location"},
        "members": {"smollm2-135m", "gemma-3-270m"},
        "stages": {"extraction", "classification", "verification"},
        "calibration": {"ece"},
        "cost": {
            "documents",
            "sentences",
            "seconds",
            "prompt_tokens_submitted",
            "prompt_tokens_evaluated",
            "generated_tokens",
            "parameters",
        },
        "config": {"pool", "members", "labels"},
        "seed": None,
    }
    assert expected_keys.keys() <= report.keys()
    for key, inner in expected_keys.items():
        assert inner is None or inner <= report[key].keys(), key
    assert report["schema"] == "entsemble.report/1"
    assert report["cost"]["documents"] == 4
    assert report["cost"]["parameters"] > 300e6
    assert report["micro"]["f1"] > 0.3
    assert set(report["labels"]) == {"person", "location"}
