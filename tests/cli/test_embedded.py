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
def pulled(model_file: Callable[[str], Path]) -> None:
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)


@pytest.fixture
def config(tmp_path: Path, pool_file: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(f'threads = 1\ncache.replies = false\n[pool]\npath = "{pool_file.name}"\nshots = 3\n')
    return path


def entsemble(*arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from entsemble.cli import main; main()", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=900,
    )


def documents(output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    for document in found:
        for m in document["mentions"]:
            assert document["text"][m["start"] : m["end"]] == m["text"]
            assert 0 <= m["score"] <= 1
            assert set(m["votes"]) - {"pool"} == {"smollm2-135m", "gemma-3-270m"}
    return found


def test_a_stream_with_nothing_but_results_on_standard_output(config: Path) -> None:
    ran = entsemble("extract", "-", "--config", config, "--json", given=TEXT)
    assert ran.returncode == 0, ran.stderr
    [document] = documents(ran.stdout)
    assert document["text"] == TEXT
    assert any("Dora" in m["text"] and m["label"] == "person" for m in document["mentions"])
    starts = [m["start"] for m in document["mentions"] if m["text"] == "Dora"]
    assert len(set(starts)) == len(starts)
    told = json.loads(ran.stderr.splitlines()[-1])
    assert (told["documents"], told["failed"]) == (1, [])
    assert told["prompt_tokens_evaluated"] < 0.6 * told["prompt_tokens_submitted"]


def test_the_votes_are_learnt_from_the_pool(config: Path) -> None:
    config.write_text(config.read_text() + "[stacking]\nsentences = 10\n")
    asked = ("extract", "-", "--config", config, "--model", "smollm2-135m", "--quiet")
    runs = [entsemble(*asked, given="Dora Keller moved to Graz.") for _ in range(2)]
    assert [(r.returncode, r.stderr) for r in runs] == [(0, "")] * 2
    assert runs[0].stdout == runs[1].stdout, "learnt in the first, known in the second"
    found = json.loads(runs[0].stdout)["mentions"]
    labels = {word: m["label"] for m in found for word in m["text"].split()}
    assert (labels["Dora"], labels["Graz"]) == ("person", "location")
    assert all(0 < m["score"] < 1 for m in found)


def test_a_folder_into_a_file_and_the_same_again(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, encoding="utf-8")
    (folder / "b.txt").write_text("The museum in Riga thanked Chen Wei.", encoding="utf-8")
    written = []
    for name in ("1.jsonl", "2.jsonl"):
        ran = entsemble("extract", folder, "--config", config, "-o", tmp_path / name, "--ledger", "--quiet")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        written.append((tmp_path / name).read_text(encoding="utf-8"))
    assert written[0] == written[1]
    assert [d["id"] for d in documents(written[0])] == ["a.txt", "b.txt"]
    fates = {e["fate"] for d in documents(written[0]) for e in d["meta"]["entsemble"]["ledger"]}
    assert "kept" in fates


def test_a_report(config: Path, pool_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    ran = entsemble("evaluate", pool_file, "--config", config, "--json", out, "--limit", "4", "--seed", "1")
    assert ran.returncode == 0, ran.stderr
    assert "micro" in ran.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    wanted = {
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
    assert wanted.keys() <= report.keys()
    for key, inner in wanted.items():
        assert inner is None or inner <= report[key].keys(), key
    assert report["schema"] == "entsemble.report/1"
    assert report["cost"]["documents"] == 4
    assert report["cost"]["parameters"] > 300e6
    assert report["micro"]["f1"] > 0.3
    assert set(report["labels"]) == {"person", "location"}
