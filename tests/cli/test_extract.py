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
LABELS = ["--labels", "person,location"]

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")


def files(tmp_path: Path, **texts: str | bytes) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def surfaces_and_labels(document: dict[str, Any]) -> list[tuple[str, str]]:
    assert all(document["text"][m["start"] : m["end"]] == m["text"] for m in document["mentions"])
    return [(m["text"], m["label"]) for m in document["mentions"]]


def test_inputs_are_files_folders_or_standard_input(command: Command, tmp_path: Path) -> None:
    text = "Ann left Oslo.\r\n\r\n😀 Bob Lee שלום Bergen.\n"
    expected = [("Ann", "person"), ("Oslo", "location"), ("Bob Lee", "person"), ("Bergen", "location")]
    folder = files(tmp_path, a=text, b="Nothing.")
    for inputs, stdin, names in (
        ([folder / "a.txt"], b"", ["a.txt"]),
        ([folder], b"", ["a.txt", "b.txt"]),
        (["-"], text.encode(), ["stdin"]),
        ([folder / "b.txt", folder / "a.txt"], b"", ["b.txt", "a.txt"]),
    ):
        result = command("extract", *inputs, *LABELS, stdin=stdin)
        assert result.code == 0, result.err
        assert [d["id"] for d in result.documents] == names
        by_name = {d["id"]: surfaces_and_labels(d) for d in result.documents}
        assert by_name[names[0] if names[0] != "b.txt" else "a.txt"] == expected
        assert "mentions in" in result.err


def test_mentions_have_scores_and_votes(command: Command) -> None:
    [document] = command("extract", "-", *LABELS, "--quiet", stdin=b"Ann").documents
    [mention] = document["mentions"]
    assert mention["score"] == pytest.approx(0.9)
    assert mention["votes"] == {"smollm2-135m": "person", "gemma-3-270m": "person"}
    assert "meta" not in document


def test_quiet_prints_only_results(command: Command, pool_file: Path) -> None:
    result = command("extract", "-", "--pool", pool_file, "--quiet", stdin=b"Ann left Oslo.")
    assert result.code == 0
    assert result.err == ""
    assert len(result.out.splitlines()) == 1


def test_json_prints_the_summary_on_standard_error(command: Command) -> None:
    result = command("extract", "-", *LABELS, "--json", "--quiet", stdin=b"Ann left Oslo. Then Ann slept.")
    summary = json.loads(result.err.splitlines()[-1])
    assert summary["documents"] == 1
    assert summary["sentences"] == 2
    assert summary["mentions"] == 3
    assert summary["failed"] == []
    assert 0 < summary["prompt_tokens_evaluated"] < summary["prompt_tokens_submitted"]
    assert surfaces_and_labels(result.documents[0])


def test_ledger_adds_fates_and_demonstrations_to_the_meta(command: Command, pool_file: Path) -> None:
    result = command(
        "extract", "-", "--pool", pool_file, "--shots", "2", "--ledger", "--quiet", stdin=b"Ann left Oslo."
    )
    meta = result.documents[0]["meta"]["entsemble"]
    assert [e["fate"] for e in meta["ledger"]] == ["kept", "kept"]
    assert [len(sentence_ids) for sentence_ids in meta["demonstrations"]] == [2]


@pytest.mark.filterwarnings("ignore:.* mentions have scores, which this format does not store")
@pytest.mark.parametrize(
    ("name", "kind"), [("out.jsonl", None), ("out.json", None), ("out.html", None), ("x", "conll")]
)
def test_output_goes_to_a_file_in_a_new_folder(command: Command, tmp_path: Path, name: str, kind: str | None) -> None:
    out = tmp_path / "new" / name
    result = command("extract", "-", *LABELS, "-o", out, *(["--format", kind] if kind else []), stdin=b"Ann left Oslo.")
    assert result.code == 0
    assert result.out == ""
    assert "Oslo" in out.read_text(encoding="utf-8")
    assert [p.name for p in out.parent.iterdir()] == [name]


def test_mentions_below_the_minimum_score_go_to_the_review_file(command: Command, tmp_path: Path) -> None:
    text = b"Ann left Oslo.\n\nIt rained."
    [document] = command("extract", "-", *LABELS, "--quiet", stdin=text).documents
    every, min_score = surfaces_and_labels(document), max(m["score"] for m in document["mentions"]) + 0.001
    review_file = tmp_path / "review.jsonl"
    result = command(
        "extract", "-", *LABELS, "--min-score", str(min_score), "--unsure", review_file, "--json", stdin=text
    )
    confident = surfaces_and_labels(result.documents[0])
    unsure = [json.loads(line) for line in review_file.read_text().splitlines()]
    assert len(result.documents) == 1
    assert sorted(confident + [m for d in unsure for m in surfaces_and_labels(d)]) == sorted(every)
    assert all(m["score"] < min_score for d in unsure for m in d["mentions"])
    assert json.loads(result.err.splitlines()[-1])["unsure"] == len(every) - len(confident) > 0
    result = command("extract", "-", *LABELS, "--min-score", "0.001", "--unsure", review_file, "--quiet", stdin=text)
    assert surfaces_and_labels(result.documents[0]) == every
    assert review_file.read_text() == "", "the file of the earlier run is replaced"


def test_the_format_of_the_pool_can_be_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "pool").write_text("Ann\tB-person\nleft\tO\n")
    result = command("extract", "-", "--pool", tmp_path / "pool", "--pool-from", "conll", "--quiet", stdin=b"Ann left.")
    assert result.code == 0, result.err
    result = command("extract", "-", "--pool", tmp_path / "pool", "--pool-from", "text", "--quiet", stdin=b"Ann left.")
    assert "there is no annotated mention in it" in result.err


def test_annotations_of_the_input_are_ignored(command: Command, pool_file: Path) -> None:
    result = command("extract", pool_file, *LABELS, "--limit", "2", "--quiet")
    assert [d["text"][:5] for d in result.documents] == ["Carla", "The m"]
    assert all(surfaces_and_labels(d) == [] for d in result.documents)


# errors


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["--model", "smollm3", *LABELS], 64, "unknown model 'smollm3'; known: .*gemma-3-270m.*openai:MODEL"),
        ([], 64, "no labels"),
        (["--labels", " , "], 64, "the labels name no label"),
        (["--labels", "none"], 64, "no entity"),
        (["--labels", "absent.toml"], 64, "cannot read the labels in absent.toml"),
        (["--config", "absent.toml"], 64, "cannot read the configuration absent.toml"),
        (["--preset", "huge", *LABELS], 64, "unknown preset 'huge'; known: balanced"),
        (["--pool", "absent.jsonl"], 65, "absent.jsonl: .*no such file"),
        (["--format", "brat", *LABELS], 64, "brat cannot"),
        (["-o", "out.xyz", *LABELS], 64, "the name 'out.xyz' does not say the format"),
        (["-o", "new/out", *LABELS], 64, "the name 'out' does not say the format"),
        (["--format", "parquet", *LABELS], 64, "parquet cannot go to a stream"),
        (["--format", "brat", "-o", "full", *LABELS], 65, "full: exists and is not an empty folder"),
        (
            ["-o", "out.docx/", "--format", "jsonl", *LABELS],
            65,
            "out.docx: is a folder, but jsonl is written",
        ),
        (["--format", "brat", "-o", ".", *LABELS], 65, "this path has no name"),
        (["--unsure", "u.jsonl", *LABELS], 64, "--unsure needs --min-score"),
        (["--min-score", "1", "--unsure", "absent/u.jsonl", *LABELS], 65, "its folder does not exist"),
        (["--min-score", "1", "--unsure", "u.conll", *LABELS], 64, "ends in .jsonl"),
        (["--min-score", "1", "--unsure", "u.jsonl", "-o", "u.jsonl", *LABELS], 64, "name the same file"),
        (["--from", "brat", *LABELS], 64, "brat cannot"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_written(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], exit_code: int, message: str
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    for folder in ("full/inner", "out.docx"):
        (tmp_path / folder).mkdir(parents=True)
    result = command("extract", "-", *words, "--quiet", stdin=b"Ann left Oslo.")
    assert result.code == exit_code
    assert {p.name for p in tmp_path.iterdir()} == {"full", "out.docx"}, "no folder is created, and no journal is left"
    assert re.search(message, result.messages), result.err
    assert "Traceback" not in result.err
    assert result.out == ""


@pytest.mark.parametrize("words", [["-o", "out"], ["--format", "brat"], ["--format", "brat", "-o", "full"]])
def test_an_invalid_output_is_refused_before_models_load(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setattr(Assembly, "extractor", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full" / "inner").mkdir(parents=True)
    assert command("extract", "-", *words, *LABELS, stdin=b"Ann").code in (64, 65)


def test_a_stream_that_is_not_utf8_is_refused_with_its_line(command: Command) -> None:
    result = command("extract", "-", *LABELS, "--quiet", "--from", "text", stdin=b"Ann\nleft \xe9\n")
    assert result.code in (1, 65)
    assert "stdin:2: not UTF-8: byte 6 of the line is 0xe9" in result.messages


@pytest.mark.parametrize("broken", [b"Ann\ncaf\xe9\n", "Ann".encode("utf-16")])
def test_an_unreadable_file_is_reported_and_skipped(command: Command, tmp_path: Path, broken: bytes) -> None:
    folder = files(tmp_path, a="Ann", b=broken, c="Oslo")
    result = command("extract", folder, *LABELS, "--json", "--quiet")
    assert result.code == 1
    assert [d["id"] for d in result.documents] == ["a.txt", "c.txt"]
    assert "b.txt:" in result.err.replace("\n", "")
    assert "UTF" in result.err
    summary = json.loads(next(line for line in result.err.splitlines() if line.startswith("{")))
    assert len(summary["failed"]) == 1


def test_an_invalid_record_is_reported_with_its_line(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "Ann"}\n{"text": "Ann caf\xe9"}\n')
    result = command("extract", path, *LABELS, "--quiet")
    assert result.code in (1, 65)
    assert "in.jsonl:2:" in result.err.replace("\n", "")


def test_a_missing_file_is_named(command: Command, tmp_path: Path) -> None:
    result = command("extract", tmp_path / "absent.txt", *LABELS, "--quiet")
    assert result.code in (1, 65)
    assert "absent.txt" in result.err.replace("\n", "")


@pytest.mark.parametrize("stdin", [b"", b"\n", b" \n \n"])
def test_an_empty_text_has_no_mentions(command: Command, stdin: bytes) -> None:
    result = command("extract", "-", *LABELS, "--from", "text", "--quiet", stdin=stdin)
    assert result.code == 0
    assert [surfaces_and_labels(d) for d in result.documents] == [[]]


def test_a_failed_document_does_not_stop_the_others(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_pipeline = Pipeline.run

    def failing(self: Pipeline, text: str) -> SentenceResult:
        if "Bergen" in text:
            raise PromptTooLongError("no room for [bold]Bergen[/bold]")
        return run_pipeline(self, text)

    monkeypatch.setattr(Pipeline, "run", failing)
    folder = files(tmp_path, a="Ann", b="Oslo. Bergen.", c="Oslo")
    out = tmp_path / "out.jsonl"
    result = command("extract", folder, *LABELS, "-o", out)
    assert result.code == 1
    assert [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()] == ["a.txt", "c.txt"]
    assert "b.txt: no room for [bold]Bergen[/bold]" in result.messages
