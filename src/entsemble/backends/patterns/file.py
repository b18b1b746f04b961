r"""Files of word lists and regular expressions, in TOML.

For example:

    material = ["mild steel", "brass"]

    [part]
    words = ["glow plug"]
    files = ["parts.txt"]
    patterns = ['[A-Z]{2}-\d{3,5}']
    ignore_case = true
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entsemble._lib import toml
from entsemble._lib.optional import require
from entsemble.errors import DataError

_KEYS = ("words", "files", "patterns", "ignore_case")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, compiled, and where it is written.

    Attributes:
        text: as the user wrote it.
        compiled: a pattern of the library `regex`.
        path: the file.
        line: its line there, counted from 1; `None` if it cannot be told.
    """

    text: str
    compiled: Any
    path: Path
    line: int | None


@dataclass(frozen=True, slots=True)
class LabelPatterns:
    """What a file says of a label.

    Attributes:
        words: words and phrases, each on one line.
        patterns: regular expressions.
        ignore_case: whether capitals are the same as small letters.
    """

    words: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class PatternFile:
    """A file of patterns.

    Attributes:
        labels: name of a label -> what belongs to it.
        fingerprint: of its content, and of the word lists that it names.
    """

    labels: Mapping[str, LabelPatterns]
    fingerprint: str


def read_patterns(path: Path) -> PatternFile:
    """Read a file of patterns, and the word lists that it names.

    Args:
        path: paths in it are relative to its folder.

    Raises:
        DataError: a file cannot be read, or something in it is not valid: says in which line.
        MissingExtraError: it has regular expressions, and `regex` is not installed.
    """
    return _Reader(path).read()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path, self._text = path, _read_text(path, "a file of patterns")
        self._digest = hashlib.sha256(self._text.encode())

    def read(self) -> PatternFile:
        try:
            values = toml.loads(self._text)
        except toml.TOMLDecodeError as error:
            problem, line = _without_place(str(error))
            last_line = self._text.count("\n") + 1
            raise DataError(f"not valid TOML: {problem}", self._path, line or last_line) from error
        if not values:
            raise DataError('no label; write for example part = ["glow plug"]', self._path)
        labels = {label: self._label(label, value) for label, value in values.items()}
        return PatternFile(labels, self._digest.hexdigest())

    def _label(self, label: str, value: object) -> LabelPatterns:
        table = {"words": value} if isinstance(value, list) else value
        if not isinstance(table, dict):
            raise self._error(f'{label} must be a list of words, or a table such as [{label}] with "words"', label)
        for key in table.keys() - set(_KEYS):
            raise self._error(f"{label} has an unknown key {key!r}; known: {', '.join(_KEYS)}", key)
        ignore_case = table.get("ignore_case", False)
        if not isinstance(ignore_case, bool):
            raise self._error(f"ignore_case of {label} must be true or false", "ignore_case")
        words = [word for word in self._strings(table, "words", label) if self._check_word(word, label)]
        for name in self._strings(table, "files", label):
            words += self._read_list(name)
        patterns = [self._compile(text, ignore_case=ignore_case) for text in self._strings(table, "patterns", label)]
        if not words and not patterns:
            raise self._error(
                f'{label} has neither words nor patterns; write, for example, words = ["glow plug"]', label
            )
        return LabelPatterns(tuple(words), tuple(patterns), ignore_case)

    def _strings(self, table: Mapping[str, object], key: str, label: str) -> list[str]:
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._error(f"{key} of {label} must be a list of texts", key if key in table else label)
        return values

    def _check_word(self, word: str, label: str) -> bool:
        if not word.strip():
            raise self._error(f"{label} has an empty word", label)
        return True

    def _read_list(self, name: str) -> list[str]:
        """The words of a file, one a line; empty lines and lines that begin with # are left out."""
        path = self._path.parent / Path(name).expanduser()
        text = _read_text(path, f"a word list of {self._path}")
        self._digest.update(b"\0" + text.encode())
        words = [line.strip() for line in text.splitlines()]
        return [word for word in words if word and not word.startswith("#")]

    def _compile(self, text: str, *, ignore_case: bool) -> Pattern:
        regex = require("regex", "patterns", f"regular expressions, as in {self._path},")
        line = self._line_of(text)
        try:
            compiled = regex.compile(text, regex.IGNORECASE if ignore_case else 0)
        except regex.error as error:
            raise DataError(f"the pattern {text!r} is not a regular expression: {error}", self._path, line) from error
        return Pattern(text, compiled, self._path, line)

    def _error(self, problem: str, key: str) -> DataError:
        pattern = rf"""^\s*(\[\s*)?([\w"'-]+\s*\.\s*)?["']?{re.escape(key)}["']?\s*[\]=.]"""
        return DataError(problem, self._path, self._first_line(re.search(pattern, self._text, re.MULTILINE)))

    def _line_of(self, value: str) -> int | None:
        """Where a text stands in the file, as it is or in a basic string with its backslashes doubled."""
        spellings = (re.escape(value), re.escape(value.replace("\\", "\\\\").replace('"', '\\"')))
        return self._first_line(re.search("|".join(spellings), self._text))

    def _first_line(self, match: re.Match[str] | None) -> int | None:
        if match is None:
            return None
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        return self._text.count("\n", 0, start) + 1


def _read_text(path: Path, purpose: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError("not UTF-8; save it as UTF-8", path, line) from error
    except OSError as error:
        raise DataError(f"cannot read {purpose}: {error.strerror}", path) from error


def _without_place(message: str) -> tuple[str, int | None]:
    """The message of a TOML parser without "(at line 3, column 5)", and that line."""
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    return (message[: match.start()], int(match[1]) if match[1] else None) if match else (message, None)
