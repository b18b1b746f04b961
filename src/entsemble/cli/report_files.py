"""Reports of evaluations as files: read, compared and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from entsemble._lib.atomic import replacing
from entsemble.errors import DataError
from entsemble.evaluation.compare import compare_reports, document_counts
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import Report


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
