from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from entsemble.cli.score import score
from entsemble.errors import DataError

TEXT = "Ann met Bob in Bonn"
GOLD = [(0, 3, "PER"), (8, 11, "PER"), (15, 19, "[b]LOC")]
PREDICTED = [(0, 3, "PER"), (8, 14, "PER"), (15, 19, "[b]LOC")]


def jsonl(path: Path, document: str, mentions: list[tuple[int, int, str]], text: str = TEXT) -> str:
    mention_values = [{"start": s, "end": e, "text": text[s:e], "label": label} for s, e, label in mentions]
    path.write_text(json.dumps({"id": document, "text": text, "mentions": mention_values}) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [jsonl(tmp_path / "gold.jsonl", "a", GOLD), jsonl(tmp_path / "predicted.jsonl", "a", PREDICTED)]


def cells(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│┃").split("│")] for line in output.splitlines() if "│" in line]


def test_the_table_has_labels_and_the_micro_average(files: list[str]) -> None:
    result = CliRunner().invoke(score, files)
    assert result.exit_code == 0
    assert "Exact ranges" in result.stdout
    assert ["[b]LOC", "1.000", "1.000", "1.000", "1"] in cells(result.stdout)
    assert ["PER", "0.500", "0.500", "0.500", "2"] in cells(result.stdout)
    assert ["micro", "0.667", "0.667", "0.667", "3"] in cells(result.stdout)
    assert ["errors: wrong boundary", "1"] in cells(result.stdout)


def test_relaxed_shows_the_other_table(files: list[str]) -> None:
    result = CliRunner().invoke(score, [*files, "--relaxed"])
    assert "Overlap is enough" in result.stdout
    assert ["micro", "1.000", "1.000", "1.000", "3"] in cells(result.stdout)


def test_json_on_stdout_is_json_alone(files: list[str]) -> None:
    report = json.loads(CliRunner().invoke(score, [*files, "--json", "-"]).stdout)
    assert (report["micro"]["tp"], report["micro"]["fp"], report["micro"]["fn"]) == (2, 1, 1)
    assert report["config"] == {"gold": files[0], "predicted": files[1]}


def test_json_in_a_file_leaves_the_table(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    result = CliRunner().invoke(score, [*files, "--json", str(out)])
    assert "micro" in result.stdout
    assert json.loads(out.read_text(encoding="utf-8"))["schema"] == "entsemble.report/1"


def test_files_without_common_ids_are_paired_by_position(files: list[str], tmp_path: Path) -> None:
    other = jsonl(tmp_path / "other.jsonl", "b", PREDICTED)
    result = CliRunner().invoke(score, [files[0], other, "--json", "-"])
    assert json.loads(result.stdout)["micro"]["tp"] == 2
    assert "paired by position" in result.stderr


def test_other_texts_are_refused(files: list[str], tmp_path: Path) -> None:
    other = jsonl(tmp_path / "other.jsonl", "b", [], text="Ann saw Bob")
    result = CliRunner().invoke(score, [files[0], other])
    assert isinstance(result.exception, DataError)
    assert "offset 4" in str(result.exception)


def test_the_order_of_the_documents_makes_no_difference(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": f"d{number}", "text": TEXT, "mentions": [{"start": 0, "end": 3, "label": "P", "score": 0.1}]})
        for number in range(20)
    ]
    gold, same_order, other_order = tmp_path / "gold.jsonl", tmp_path / "p.jsonl", tmp_path / "other" / "p.jsonl"
    other_order.parent.mkdir()
    gold.write_text("\n".join(lines[::-1]))
    same_order.write_text("\n".join(lines[::-1]))
    other_order.write_text("\n".join(lines))
    first, second = (
        json.loads(CliRunner().invoke(score, [str(gold), str(predicted), "--json", "-"]).stdout)
        for predicted in (same_order, other_order)
    )
    assert [*first.pop("config")] == [*second.pop("config")]
    assert json.dumps(first) == json.dumps(second)
    assert [*first["documents"]] == [f"d{number}" for number in reversed(range(20))]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_read_once(files: list[str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    content = Path(files[1]).read_text(encoding="utf-8").replace('"id": "a"', '"id": "b"')
    writer = threading.Thread(target=pipe.write_text, args=(content,), daemon=True)
    writer.start()
    result = CliRunner().invoke(score, [files[0], str(pipe), "--json", "-"])
    writer.join(timeout=60)
    assert json.loads(result.stdout)["micro"]["tp"] == 2


def test_folders_and_files_in_named_formats_are_scored(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "a.txt").write_text(TEXT)
    (tmp_path / "brat" / "a.ann").write_text("T1\tPER 0 3\tAnn\n")
    result = CliRunner().invoke(score, [files[0], str(tmp_path / "brat"), "--json", "-"])
    assert (json.loads(result.stdout)["micro"]["tp"], result.stderr) == (1, "")
    named = tmp_path / "predicted"
    lines = "".join(f"{word}\t{'B-PER' if word == 'Ann' else 'O'}\n" for word in TEXT.split())
    named.write_text(lines)
    result = CliRunner().invoke(score, [files[0], str(named), "--predicted-from", "conll", "--json", "-"])
    assert json.loads(result.stdout)["micro"]["tp"] == 1
    result = CliRunner().invoke(score, [str(named), str(named), "--from", "conll", "--json", "-"])
    assert json.loads(result.stdout)["micro"]["f1"] == 1
    result = CliRunner().invoke(score, [str(named), files[0], "--from", "conll"])
    assert isinstance(result.exception, DataError)


def test_gold_documents_without_a_prediction_are_announced(files: list[str], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.jsonl"
    nothing.touch()
    result = CliRunner().invoke(score, [files[0], str(nothing)])
    assert result.stderr == "1 gold document without a prediction, such as 'a': all mentions count as missed.\n"
