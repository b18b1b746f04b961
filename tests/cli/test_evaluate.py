"""`entsemble evaluate` with scripted models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import Assembly

Command = Callable[..., Any]
LABELS = ["--labels", "person,location"]

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")


def test_a_report_scores_ensemble_members_and_stages(command: Command, tmp_path: Path, pool_file: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    text = "Ann left Oslo for Graz in March."
    mentions = [
        {"start": 0, "end": 3, "label": "person"},
        {"start": 9, "end": 13, "label": "location"},
        {"start": 18, "end": 22, "label": "location"},
        {"start": 26, "end": 31, "label": "location"},
    ]
    gold.write_text(json.dumps({"id": "g", "text": text, "mentions": mentions}) + "\n")
    result = command("evaluate", gold, "--pool", pool_file, "--json", "-", "--quiet", "--seed", "7")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["schema"] == "entsemble.report/1"
    assert (report["micro"]["tp"], report["micro"]["fp"], report["micro"]["fn"]) == (2, 0, 2)
    assert set(report["members"]) == {"smollm2-135m", "gemma-3-270m"}
    assert report["labels"]["location"]["recall"] == pytest.approx(1 / 3)
    assert report["stages"]["extraction"]["recall"] == 1, "the gazetteer proposes Graz, and naive Bayes March"
    assert report["config"]["classification"]["vote"] is None, "stacking replaces the vote"
    assert report["cost"]["documents"] == report["cost"]["sentences"] == 1
    assert report["seed"] == report["config"]["seed"] == 7
    printed = command("evaluate", gold, "--pool", pool_file)
    assert "micro" in printed.out
    assert "smollm2-135m" in printed.out
    assert "1 sentence, 2 mentions in" in printed.err


def test_members_are_scored_even_if_the_first_document_is_empty(command: Command, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    mention = {"start": 0, "end": 3, "label": "person"}
    gold.write_text(
        '{"id": "blank", "text": " "}\n' + json.dumps({"id": "g", "text": "Ann", "mentions": [mention]}) + "\n"
    )
    report = json.loads(command("evaluate", gold, *LABELS, "--json", "-", "--quiet").out)
    assert report["members"] == {"smollm2-135m": {"f1": 1.0}, "gemma-3-270m": {"f1": 1.0}}


def test_a_report_contains_no_credentials(command: Command, tmp_path: Path) -> None:
    (gold := tmp_path / "gold.txt").write_text("Ann")
    config = '[[members]]\nmodel = "openai:m"\nbase_url = "http://me:secret@localhost:8000/v1?key=secret"\n'
    (tmp_path / "c.toml").write_text(config)
    result = command("evaluate", gold, *LABELS, "--config", tmp_path / "c.toml", "--json", "-", "--quiet")
    assert "secret" not in result.out
    assert json.loads(result.out)["config"]["members"][0]["base_url"] == "http://localhost:8000/v1"


def test_against_compares_with_an_earlier_report(command: Command, tmp_path: Path, pool_file: Path) -> None:
    first, other = tmp_path / "first.json", tmp_path / "other.jsonl"
    arguments = ("evaluate", pool_file, "--pool", pool_file, "--limit", "4", "--quiet")
    assert command(*arguments, "--json", first).code == 0
    again = command(*arguments, "--against", first)
    f1 = json.loads(first.read_text())["micro"]["f1"]
    assert again.code == 0
    assert f"against {first}, on the same 4 documents: F1 {f1:.3f} and {f1:.3f}, difference +0.000" in again.messages
    scored = command("score", pool_file, pool_file, "--against", first)
    assert "on the same 4 documents: F1 1.000 and" in scored.messages
    other.write_text('{"id": "elsewhere", "text": "Ann"}\n')
    apart = command("score", other, other, "--against", first)
    assert apart.code == 65
    assert "first.json: the reports have no document id in common" in apart.messages


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "Expecting"),
        ("[]", "not a report with the schema"),
        ('{"schema": "entsemble.report/1"}', "no counts by document"),
    ],
)
def test_an_invalid_earlier_report_is_refused_before_models_load(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
) -> None:
    monkeypatch.setattr(Assembly, "extractor", None)
    (gold := tmp_path / "gold.txt").write_text("Ann")
    if content is not None:
        (tmp_path / "old.json").write_text(content)
    result = command("evaluate", gold, *LABELS, "--against", tmp_path / "old.json")
    assert result.code == 65
    assert "old.json" in result.messages
    assert message in result.messages


def test_the_report_is_written_to_a_file(command: Command, tmp_path: Path, pool_file: Path) -> None:
    out = tmp_path / "report.json"
    result = command("evaluate", pool_file, "--pool", pool_file, "--json", out, "--limit", "2", "--quiet")
    assert result.code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["cost"]["documents"] == 2


def test_a_missing_report_folder_is_refused_before_models_load(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extractor(_: Assembly) -> Any:
        raise AssertionError("too late")

    monkeypatch.setattr(Assembly, "extractor", extractor)
    (gold := tmp_path / "gold.txt").write_text("Ann")
    result = command("evaluate", gold, *LABELS, "--json", tmp_path / "new" / "report.json")
    assert result.code == 65
    assert "report.json: its folder does not exist" in result.messages


def test_a_gold_file_without_documents_is_refused(command: Command, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text("")
    result = command("evaluate", gold, *LABELS, "--quiet")
    assert result.code == 65
    assert "gold.jsonl" in result.err.replace("\n", "")


def test_the_sample_depends_on_the_seed_alone(command: Command, pool_file: Path) -> None:
    def supports(seed: str) -> Any:
        result = command("evaluate", pool_file, *LABELS, "--limit", "4", "--seed", seed, "--json", "-", "--quiet")
        report = json.loads(result.out)
        return report["micro"], report["labels"]

    assert supports("1") == supports("1")
    assert len({str(supports(str(seed))) for seed in range(5)}) > 1
