"""Standard output, report files, and counts in words."""

from __future__ import annotations

import io
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import click
from rich.cells import cell_len

from entsemble._lib.atomic import replacing
from entsemble._lib.text import message_line
from entsemble.errors import DataError
from entsemble.evaluation.compare import compare_reports, document_counts
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import Report


def pluralize(count: int, noun: str) -> str:
    """The count followed by the noun in singular or plural.

    >>> pluralize(1, "document"), pluralize(1200, "document")
    ('1 document', '1,200 documents')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def print_columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of any number of rows; the last column is wrapped at the width of the terminal."""
    cells = [[message_line(cell) for cell in row] for row in (headers, *rows)]
    *widths, _ = [max(map(cell_len, column)) + 2 for column in zip(*cells, strict=True)]
    indent = sum(widths)
    last_width = max(20, shutil.get_terminal_size().columns - indent)
    for *first_cells, last_cell in cells:
        first_line = "".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(first_cells, widths, strict=True)
        )
        lines = textwrap.wrap(last_cell, last_width)
        click.echo(("\n" + " " * indent).join([first_line + (lines[0] if lines else ""), *lines[1:]]).rstrip())


def standard_output() -> TextIO:
    """Standard output for documents: UTF-8 whatever the terminal's encoding, like the files that are written.

    Raises:
        DataError: it is closed.
    """
    if sys.stdout is None:
        raise DataError("standard output is closed; name a file for the documents")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    return sys.stdout


def read_report_counts(path: Path) -> dict[str, Counts]:
    """The exact-match counts of each document in an earlier report.

    Raises:
        DataError: the file cannot be read or is not a report with counts per document.
    """
    try:
        return document_counts(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from error
    except ValueError as error:  # includes invalid JSON and invalid UTF-8
        raise DataError(str(error), path) from error


def print_comparison(report: Report, earlier_path: Path, earlier_counts: dict[str, Counts]) -> None:
    """Print to standard error how the report differs from an earlier one.

    Raises:
        DataError: the two cannot be compared.
    """
    try:
        click.echo(f"against {earlier_path}, {compare_reports(report, earlier_counts)}", err=True)
    except ValueError as error:
        raise DataError(str(error), earlier_path) from error


def check_writable(*paths: Path | None) -> None:
    """Check, before any work is done, that the folders of these files exist; `-` is standard output.

    Raises:
        DataError: a folder does not exist.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.parent.is_dir():
            raise DataError("its folder does not exist; create it first", path)


def write_report(path: Path, content: str | Iterable[str]) -> None:
    """Write a report, whole or not at all.

    Args:
        path: the file.
        content: the text, whole or in parts.

    Raises:
        DataError: the file cannot be written.
        InUseError: another process is writing it.
    """
    try:
        with replacing(path) as replacement, replacement.open("w", encoding="utf-8") as file:
            file.writelines([content] if isinstance(content, str) else content)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path) from error
