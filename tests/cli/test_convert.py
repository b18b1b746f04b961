"""`entsemble convert`."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from entsemble.cli import root
from entsemble.cli.convert import convert
from entsemble.errors import EntsembleError


def test_the_convert_command(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("X N O\nAda N B-PER\n")
    result = CliRunner().invoke(convert, [str(tmp_path / "a.txt"), str(tmp_path / "a.jsonl"), "--columns", "1:3"])
    assert (result.exit_code, result.stderr) == (0, "1 document, 1 mention\n")
    result = CliRunner().invoke(convert, ["-", "-", "--from", "conll"], input="Hi\tO\nAda\tB-PER\n")
    assert '"text": "Hi Ada"' in result.stdout
    result = CliRunner(charset="ascii").invoke(convert, ["-", "-", "--from", "text"], input="Zo\u00eb".encode())
    assert "Zo\u00eb".encode() in result.stdout_bytes
    result = CliRunner().invoke(convert, [str(tmp_path / "none"), str(tmp_path / "b.jsonl")])
    assert isinstance(result.exception, EntsembleError)
    result = CliRunner().invoke(convert, [str(tmp_path / "a.txt"), "-", "--columns", "x"])
    assert "names no columns" in result.stderr


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("a\x1b[2J\nb.txt", "out.jsonl"),
        ("broken.tar.gz", "out.jsonl"),
        ("a" * 300, "out.jsonl"),
        ("good.txt", "a" * 300),
    ],
)
def test_an_error_is_one_line_whatever_it_quotes(name: str, output: str, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("Ann.")
    (tmp_path / "broken.tar.gz").write_bytes(gzip.compress(bytes(1000)))
    command = [sys.executable, "-m", "entsemble", "convert", name, output]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert completed.returncode == 65
    assert completed.stderr.startswith("entsemble: ")
    assert completed.stderr.count("\n") == 1
    assert "\x1b" not in completed.stderr


def test_warnings_are_one_line_each_and_only_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    span = {"start": 0, "end": 3, "label": "P"}
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "Ada", "spans": [span], "answer": "reject"}) + "\n")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = CliRunner().invoke(root, ["convert", str(tmp_path / "in.jsonl"), "-"])
        messages = io.StringIO()
        monkeypatch.setattr(sys, "stderr", messages)
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
        assert messages.getvalue() == ""
    first, second = result.stderr.splitlines()
    assert first.endswith("in.jsonl: 1 example that was rejected or ignored in Prodigy left out")
    assert first.startswith("entsemble: ")
    assert second == "0 documents, 0 mentions"


def test_names_of_a_project_of_label_studio_can_be_given(tmp_path: Path) -> None:
    annotated = {"id": "a", "text": "Ada", "mentions": [{"start": 0, "end": 3, "label": "P"}]}
    names = ["--label-tag", "ner", "--text-tag", "doc", "--text-key", "body"]
    arguments = [str(tmp_path / "in.jsonl"), str(tmp_path / "out.json"), "--to", "label-studio"]
    (tmp_path / "in.jsonl").write_text(json.dumps(annotated))
    assert CliRunner().invoke(convert, [*arguments, *names]).exit_code == 0
    (task,) = json.loads((tmp_path / "out.json").read_text())
    (result,) = task["annotations"][0]["result"]
    assert (task["data"]["body"], result["from_name"], result["to_name"]) == ("Ada", "ner", "doc")
    task["data"]["other"] = "x"
    (tmp_path / "out.json").write_text(json.dumps([task]))
    result = CliRunner().invoke(convert, [str(tmp_path / "out.json"), "-", "--text-key", "body"])
    assert json.loads(result.stdout)["mentions"][0]["text"] == "Ada"
    result = CliRunner().invoke(convert, [str(tmp_path / "out.json"), "-"])
    assert "name the key of the text with `convert --text-key`" in str(result.exception)
