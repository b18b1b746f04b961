"""Tables and redacted texts from the command line, and inputs that are looked at before models are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.ensemble import Ensemble
from tests.data import document_files

Command = Callable[..., Any]
LABELS = ["--labels", "person,location", "--quiet"]

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    (tmp_path / "letter.txt").write_text("Ann left Oslo. ANN slept.")
    return tmp_path / "letter.txt"


def test_results_are_a_table_of_mentions_or_of_names(command: Command, letter: Path, tmp_path: Path) -> None:
    result = command("extract", letter, *LABELS, "-o", tmp_path / "a.csv")
    assert result.code == 0, result.err
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[1].startswith("letter.txt,,Ann left Oslo.,0,3,Ann,person,0.9,")
    assert command("extract", letter, *LABELS, "-o", tmp_path / "b.csv", "--group").code == 0
    assert "Oslo,1,location (1),Oslo (1),letter.txt (1)" in (tmp_path / "b.csv").read_text(encoding="utf-8-sig")
    assert command("extract", letter, *LABELS, "--group").out.startswith("name,mentions,")


def test_names_are_replaced_in_texts(command: Command, letter: Path, tmp_path: Path) -> None:
    assert command("extract", letter, *LABELS, "--redact", "label").out.startswith("[PERSON] left [LOCATION]. ")
    result = command("extract", letter, *LABELS, "--redact", "pseudonym", "-o", tmp_path / "redacted")
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / "redacted" / "letter.txt").read_text().startswith("person-1 left location-1. ")


def test_saved_results_become_tables_and_redacted_texts(command: Command, letter: Path, tmp_path: Path) -> None:
    saved = tmp_path / "a.jsonl"
    command("extract", letter, *LABELS, "-o", saved)
    assert command("convert", saved, "-", "--redact", "label").out.startswith("[PERSON] left [LOCATION]. ")
    assert "[PERSON] left" in command("convert", saved, "-", "--redact", "label", "--to", "jsonl").documents[0]["text"]
    assert command("convert", saved, tmp_path / "a.tsv", "--group").code == 0
    assert (tmp_path / "a.tsv").read_text().startswith("name\tmentions\t")


@pytest.mark.filterwarnings("default::entsemble.errors.EntsembleWarning")
def test_texts_without_mentions_are_not_said_to_be_redacted(command: Command, letter: Path) -> None:
    result = command("convert", letter, "-", "--redact", "label")
    assert "entsemble: there is no mention in the documents, so nothing is replaced" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group", "--redact", "label"], "--group lists the names that --redact removes"),
        (["--group", "-o", "a.jsonl"], "--group needs a table, and jsonl is none; write .csv, .tsv or .xlsx"),
        (["--group", "-o", "a"], "does not say the format"),
        (["--redact", "label", "--ledger"], "--ledger writes the names that --redact removes"),
        (["--format", "xlsx"], "xlsx cannot go to a stream"),
    ],
)
def test_contradictory_options_are_refused(command: Command, letter: Path, words: list[str], message: str) -> None:
    result = command("extract", letter, *LABELS, *words)
    assert result.code == 64
    assert message in result.err


@pytest.mark.filterwarnings("default::entsemble.errors.EntsembleWarning")
def test_a_folder_as_people_have_it(command: Command, tmp_path: Path) -> None:
    for package in ("mammoth", "pypdfium2", "resiliparse"):
        pytest.importorskip(package)
    folder = tmp_path / "incoming"
    folder.mkdir()
    readable = {
        "a.docx": document_files.docx("<w:p><w:r><w:t>Ann left Oslo.</w:t></w:r></w:p>"),
        "a.html": document_files.web_page("<p>Ann left Oslo."),
        "a.eml": document_files.eml("Ann left Oslo."),
        "a.pdf": document_files.pdf("Ann left Oslo."),
    }
    unreadable = {"latin.txt": "Zoë".encode("latin-1"), "scan.pdf": document_files.pdf(None), "scan.png": b"\x89PNG"}
    for name, content in {**readable, **unreadable}.items():
        (folder / name).write_bytes(content)
    result = command("extract", folder, *LABELS, "-o", tmp_path / "a.csv")
    assert result.code == 1
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == set(readable)
    for message in (
        "incoming: not read: scan.png (a picture: recognise its text first",
        "latin.txt:1: not UTF-8: byte 3 of the line is 0xeb; save the file as UTF-8: iconv -f WINDOWS-1252",
        "a.eml: attachments are not read: offer.pdf",
        "scan.pdf: this PDF is a scan: its pages are pictures; recognise its text first",
    ):
        assert len([line for line in result.err.splitlines() if message in line]) == 1, result.err


def test_wrong_inputs_are_reported_before_models_are_loaded(
    command: Command, letter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("models are loaded")

    monkeypatch.setattr(Ensemble, "__init__", load)
    (tmp_path / "bad.jsonl").write_text('{"text": "Ann"}\nx\n')
    (tmp_path / "scan.png").write_bytes(b"")
    result = command("extract", tmp_path / "scan.png", *LABELS, "-o", tmp_path / "out.jsonl")
    assert result.code == 1
    assert "scan.png: a picture cannot be read; recognise its text first" in result.err
    assert not (tmp_path / "out.jsonl").exists()
    reports: list[str] = []
    monkeypatch.setattr("entsemble.cli.summary.Summary.add_unreadable", lambda _, error: reports.append(str(error)))
    with pytest.raises(AssertionError, match="models are loaded"):
        command("extract", letter, tmp_path / "bad.jsonl", *LABELS)
    assert len(reports) == 1
    assert "bad.jsonl:2: not valid JSON" in reports[0]
