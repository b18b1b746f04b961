"""`entsemble convert`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

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
