"""`entsemble extract` with scripted models: files, streams, errors, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import Assembly
from entsemble.errors import PromptTooLongError
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult

Command = Callable[..., Any]
ASKED = ["--labels", "person,location"]

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")


def files(tmp_path: Path, **texts: str | bytes) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def found(document: dict[str, Any]) -> list[tuple[str, str]]:
    assert all(document["text"][m["start"] : m["end"]] == m["text"] for m in document["mentions"])
    return [(m["text"], m["label"]) for m in document["mentions"]]


def test_a_file_a_folder_and_a_stream(command: Command, tmp_path: Path) -> None:
    text = "Ann left Oslo.\r\n\r\n😀 Bob Lee שלום Bergen.\n"
    expected = [("Ann", "person"), ("Oslo", "location"), ("Bob Lee", "person"), ("Bergen", "location")]
    folder = files(tmp_path, a=text, b="Nothing.")
    for inputs, given, names in (
        ([folder / "a.txt"], b"", ["a.txt"]),
        ([folder], b"", ["a.txt", "b.txt"]),
        (["-"], text.encode(), ["stdin"]),
        ([folder / "b.txt", folder / "a.txt"], b"", ["b.txt", "a.txt"]),
    ):
        ran = command("extract", *inputs, *ASKED, given=given)
        assert ran.code == 0, ran.err
        assert [d["id"] for d in ran.documents] == names
        by_name = {d["id"]: found(d) for d in ran.documents}
        assert by_name[names[0] if names[0] != "b.txt" else "a.txt"] == expected
        assert "mentions in" in ran.err


def test_mentions_have_scores_and_votes(command: Command) -> None:
    [document] = command("extract", "-", *ASKED, "--quiet", given=b"Ann").documents
    [mention] = document["mentions"]
    assert mention["score"] == pytest.approx(0.9)
    assert mention["votes"] == {"smollm2-135m": "person", "gemma-3-270m": "person"}
    assert "meta" not in document


def test_quiet_means_results_alone(command: Command, pool_file: Path) -> None:
    ran = command("extract", "-", "--pool", pool_file, "--quiet", given=b"Ann left Oslo.")
    assert ran.code == 0
    assert ran.err == ""
    assert len(ran.out.splitlines()) == 1


def test_the_summary_as_json(command: Command) -> None:
    ran = command("extract", "-", *ASKED, "--json", "--quiet", given=b"Ann left Oslo. Then Ann slept.")
    told = json.loads(ran.err.splitlines()[-1])
    assert told["documents"] == 1
    assert told["sentences"] == 2
    assert told["mentions"] == 3
    assert told["failed"] == []
    assert 0 < told["prompt_tokens_evaluated"] < told["prompt_tokens_submitted"]
    assert found(ran.documents[0])


def test_the_ledger_and_the_demonstrations(command: Command, pool_file: Path) -> None:
    ran = command("extract", "-", "--pool", pool_file, "--shots", "2", "--ledger", "--quiet", given=b"Ann left Oslo.")
    told = ran.documents[0]["meta"]["entsemble"]
    assert [e["fate"] for e in told["ledger"]] == ["kept", "kept"]
    assert [len(shown) for shown in told["demonstrations"]] == [2]


@pytest.mark.parametrize(
    ("name", "kind"), [("out.jsonl", None), ("out.json", None), ("out.html", None), ("x", "conll")]
)
def test_to_a_file(command: Command, tmp_path: Path, name: str, kind: str | None) -> None:
    out = tmp_path / "new" / name
    ran = command("extract", "-", *ASKED, "-o", out, *(["--format", kind] if kind else []), given=b"Ann left Oslo.")
    assert ran.code == 0
    assert ran.out == ""
    assert "Oslo" in out.read_text(encoding="utf-8")
    assert [p.name for p in out.parent.iterdir()] == [name]


def test_what_is_unsure_is_put_aside(command: Command, tmp_path: Path) -> None:
    given = b"Ann left Oslo.\n\nIt rained."
    [whole] = command("extract", "-", *ASKED, "--quiet", given=given).documents
    every, least = found(whole), max(m["score"] for m in whole["mentions"]) + 0.001
    aside = tmp_path / "review.jsonl"
    ran = command("extract", "-", *ASKED, "--min-score", str(least), "--unsure", aside, "--json", given=given)
    sure = found(ran.documents[0])
    unsure = [json.loads(line) for line in aside.read_text().splitlines()]
    assert len(ran.documents) == 1
    assert sorted(sure + [m for d in unsure for m in found(d)]) == sorted(every)
    assert all(m["score"] < least for d in unsure for m in d["mentions"])
    assert json.loads(ran.err.splitlines()[-1])["unsure"] == len(every) - len(sure) > 0
    ran = command("extract", "-", *ASKED, "--min-score", "0.001", "--unsure", aside, "--quiet", given=given)
    assert found(ran.documents[0]) == every
    assert aside.read_text() == "", "of an earlier run nothing is left"


def test_limit_and_annotations_that_were_there(command: Command, pool_file: Path) -> None:
    ran = command("extract", pool_file, *ASKED, "--limit", "2", "--quiet")
    assert [d["text"][:5] for d in ran.documents] == ["Carla", "The m"]
    assert all(found(d) == [] for d in ran.documents)


# what goes wrong


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--model", "smollm3", *ASKED], 64, "unknown model 'smollm3'; known: .*gemma-3-270m.*openai:MODEL"),
        ([], 64, "no labels"),
        (["--labels", " , "], 64, "the labels name no label"),
        (["--labels", "none"], 64, "no entity"),
        (["--labels", "absent.toml"], 64, "cannot read the labels in absent.toml"),
        (["--config", "absent.toml"], 64, "cannot read the configuration absent.toml"),
        (["--preset", "huge", *ASKED], 64, "unknown preset 'huge'; known: balanced"),
        (["--pool", "absent.jsonl"], 65, "absent.jsonl: .*no such file"),
        (["--format", "brat", *ASKED], 64, "brat cannot"),
        (["-o", "out.xyz", *ASKED], 64, "'out.xyz' tells no format"),
        (["-o", "new/out", *ASKED], 64, "'out' tells no format"),
        (["--format", "parquet", *ASKED], 64, "parquet cannot go to a stream"),
        (["--format", "brat", "-o", "full", *ASKED], 65, "full: exists and is no empty folder"),
        (["-o", "out.docx/", "--format", "jsonl", *ASKED], 65, "out.docx: is a folder, and jsonl is a file"),
        (["--format", "brat", "-o", ".", *ASKED], 65, "it has no name of its own"),
        (["--unsure", "u.jsonl", *ASKED], 64, "--unsure needs --min-score"),
        (["--min-score", "1", "--unsure", "absent/u.jsonl", *ASKED], 65, "its folder does not exist"),
        (["--min-score", "1", "--unsure", "u.conll", *ASKED], 64, "ends in .jsonl"),
        (["--min-score", "1", "--unsure", "u.jsonl", "-o", "u.jsonl", *ASKED], 64, "name the same file"),
        (["--from", "brat", *ASKED], 64, "brat cannot"),
    ],
)
def test_what_cannot_be_right(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    for folder in ("full/inner", "out.docx"):
        (tmp_path / folder).mkdir(parents=True)
    ran = command("extract", "-", *words, "--quiet", given=b"Ann left Oslo.")
    assert ran.code == code
    assert {p.name for p in tmp_path.iterdir()} == {"full", "out.docx"}, "no folder is made, and no journal left"
    assert re.search(told, ran.told), ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("words", [["-o", "out"], ["--format", "brat"], ["--format", "brat", "-o", "full"]])
def test_an_output_that_cannot_be_is_told_before_the_models_load(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setattr(Assembly, "extractor", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full" / "inner").mkdir(parents=True)
    assert command("extract", "-", *words, *ASKED, given=b"Ann").code in (64, 65)


def test_a_stream_that_is_no_utf8(command: Command) -> None:
    ran = command("extract", "-", *ASKED, "--quiet", "--from", "text", given=b"Ann\nleft \xe9\n")
    assert ran.code in (1, 65)
    assert "stdin:2: byte 6 of the line, 0xe9, is no UTF-8" in ran.told


@pytest.mark.parametrize("broken", [b"Ann\ncaf\xe9\n", "Ann".encode("utf-16")])
def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(
    command: Command, tmp_path: Path, broken: bytes
) -> None:
    folder = files(tmp_path, a="Ann", b=broken, c="Oslo")
    ran = command("extract", folder, *ASKED, "--json", "--quiet")
    assert ran.code == 1
    assert [d["id"] for d in ran.documents] == ["a.txt", "c.txt"]
    assert "b.txt:" in ran.err.replace("\n", "")
    assert "UTF" in ran.err
    told = json.loads(next(line for line in ran.err.splitlines() if line.startswith("{")))
    assert len(told["failed"]) == 1


def test_the_line_of_a_broken_record(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "Ann"}\n{"text": "Ann caf\xe9"}\n')
    ran = command("extract", path, *ASKED, "--quiet")
    assert ran.code in (1, 65)
    assert "in.jsonl:2:" in ran.err.replace("\n", "")


def test_a_file_that_is_not_there(command: Command, tmp_path: Path) -> None:
    ran = command("extract", tmp_path / "absent.txt", *ASKED, "--quiet")
    assert ran.code in (1, 65)
    assert "absent.txt" in ran.err.replace("\n", "")


@pytest.mark.parametrize("given", [b"", b"\n", b" \n \n"])
def test_an_empty_text(command: Command, given: bytes) -> None:
    ran = command("extract", "-", *ASKED, "--from", "text", "--quiet", given=given)
    assert ran.code == 0
    assert [found(d) for d in ran.documents] == [[]]


def test_a_document_that_fails_stops_no_other(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = Pipeline.run

    def failing(self: Pipeline, text: str) -> SentenceResult:
        if "Bergen" in text:
            raise PromptTooLongError("no room for [bold]Bergen[/bold]")
        return run(self, text)

    monkeypatch.setattr(Pipeline, "run", failing)
    folder = files(tmp_path, a="Ann", b="Oslo. Bergen.", c="Oslo")
    out = tmp_path / "out.jsonl"
    ran = command("extract", folder, *ASKED, "-o", out)
    assert ran.code == 1
    assert [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()] == ["a.txt", "c.txt"]
    assert "b.txt: no room for [bold]Bergen[/bold]" in ran.told


# evaluate


def test_evaluate(command: Command, tmp_path: Path, pool_file: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    text = "Ann left Oslo for Graz in March."
    mentions = [
        {"start": 0, "end": 3, "label": "person"},
        {"start": 9, "end": 13, "label": "location"},
        {"start": 18, "end": 22, "label": "location"},
        {"start": 26, "end": 31, "label": "location"},
    ]
    gold.write_text(json.dumps({"id": "g", "text": text, "mentions": mentions}) + "\n")
    ran = command("evaluate", gold, "--pool", pool_file, "--json", "-", "--quiet", "--seed", "7")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["schema"] == "entsemble.report/1"
    assert (report["micro"]["tp"], report["micro"]["fp"], report["micro"]["fn"]) == (2, 0, 2)
    assert set(report["members"]) == {"smollm2-135m", "gemma-3-270m"}
    assert report["labels"]["location"]["recall"] == pytest.approx(1 / 3)
    assert report["stages"]["extraction"]["recall"] == 1, "the pool proposes Graz, and its words March"
    assert report["config"]["classification"]["vote"] is None, "nobody counted"
    assert report["cost"]["documents"] == report["cost"]["sentences"] == 1
    assert report["seed"] == report["config"]["seed"] == 7
    shown = command("evaluate", gold, "--pool", pool_file)
    assert "micro" in shown.out
    assert "smollm2-135m" in shown.out
    assert "sentences" in shown.err


def test_evaluate_scores_the_members_though_the_first_document_is_blank(command: Command, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    mention = {"start": 0, "end": 3, "label": "person"}
    gold.write_text(
        '{"id": "blank", "text": " "}\n' + json.dumps({"id": "g", "text": "Ann", "mentions": [mention]}) + "\n"
    )
    report = json.loads(command("evaluate", gold, *ASKED, "--json", "-", "--quiet").out)
    assert report["members"] == {"smollm2-135m": {"f1": 1.0}, "gemma-3-270m": {"f1": 1.0}}


def test_a_report_says_nothing_of_who_asked(command: Command, tmp_path: Path) -> None:
    (gold := tmp_path / "gold.txt").write_text("Ann")
    told = '[[members]]\nmodel = "openai:m"\nbase_url = "http://me:secret@localhost:8000/v1?key=secret"\n'
    (tmp_path / "c.toml").write_text(told)
    ran = command("evaluate", gold, *ASKED, "--config", tmp_path / "c.toml", "--json", "-", "--quiet")
    assert "secret" not in ran.out
    assert json.loads(ran.out)["config"]["members"][0]["base_url"] == "http://localhost:8000/v1"


def test_a_report_beside_an_earlier_one(command: Command, tmp_path: Path, pool_file: Path) -> None:
    first, other = tmp_path / "first.json", tmp_path / "other.jsonl"
    told = ("evaluate", pool_file, "--pool", pool_file, "--limit", "4", "--quiet")
    assert command(*told, "--json", first).code == 0
    again = command(*told, "--against", first)
    f1 = json.loads(first.read_text())["micro"]["f1"]
    assert again.code == 0
    assert f"against {first}, on the same 4 documents: F1 {f1:.3f} and {f1:.3f}, difference +0.000" in again.told
    scored = command("score", pool_file, pool_file, "--against", first)
    assert "on the same 4 documents: F1 1.000 and" in scored.told
    other.write_text('{"id": "elsewhere", "text": "Ann"}\n')
    apart = command("score", other, other, "--against", first)
    assert apart.code == 65
    assert "first.json: no document has an id that the earlier report has" in apart.told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("{", "Expecting"),
        ("[]", "not a report with the schema"),
        ('{"schema": "entsemble.report/1"}', "without the counts of each document"),
    ],
)
def test_an_earlier_report_is_looked_at_before_the_models_load(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, told: str
) -> None:
    monkeypatch.setattr(Assembly, "extractor", None)
    (gold := tmp_path / "gold.txt").write_text("Ann")
    if text is not None:
        (tmp_path / "old.json").write_text(text)
    ran = command("evaluate", gold, *ASKED, "--against", tmp_path / "old.json")
    assert ran.code == 65
    assert "old.json" in ran.told
    assert told in ran.told


def test_the_report_lands_where_it_was_asked_for(command: Command, tmp_path: Path, pool_file: Path) -> None:
    out = tmp_path / "report.json"
    ran = command("evaluate", pool_file, "--pool", pool_file, "--json", out, "--limit", "2", "--quiet")
    assert ran.code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["cost"]["documents"] == 2


def test_a_report_s_folder_is_looked_for_before_the_models_load(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extractor(_: Assembly) -> Any:
        raise AssertionError("too late")

    monkeypatch.setattr(Assembly, "extractor", extractor)
    (gold := tmp_path / "gold.txt").write_text("Ann")
    ran = command("evaluate", gold, *ASKED, "--json", tmp_path / "new" / "report.json")
    assert ran.code == 65
    assert "report.json: its folder does not exist" in ran.told


def test_evaluate_what_is_empty(command: Command, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text("")
    ran = command("evaluate", gold, *ASKED, "--quiet")
    assert ran.code == 65
    assert "gold.jsonl" in ran.err.replace("\n", "")


def test_the_sample_depends_on_the_seed_alone(command: Command, pool_file: Path) -> None:
    def supports(seed: str) -> Any:
        ran = command("evaluate", pool_file, *ASKED, "--limit", "4", "--seed", seed, "--json", "-", "--quiet")
        report = json.loads(ran.out)
        return report["micro"], report["labels"]

    assert supports("1") == supports("1")
    assert len({str(supports(str(seed))) for seed in range(5)}) > 1
