"""Where commands write what they measured, and earlier reports: looked at before the work, so that no work is lost."""

from __future__ import annotations

import json
from pathlib import Path

import click

from entsemble.errors import DataError
from entsemble.evaluation.compare import beside, counts_of
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import Report

against_option = click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An earlier report (JSON): say whether F1 differs on the documents that both have, in pairs.",
)


def read_counts(path: Path) -> dict[str, Counts]:
    """The exact counts of each document of a report.

    Raises:
        DataError: it cannot be read, or is no such report.
    """
    try:
        return counts_of(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from error
    except ValueError as error:  # JSON's and UTF-8's errors are such too
        raise DataError(str(error), path) from error


def say_difference(report: Report, path: Path, earlier: dict[str, Counts]) -> None:
    """Say how the report differs from an earlier one.

    Raises:
        DataError: they cannot be compared.
    """
    try:
        click.echo(f"against {path}, {beside(report, earlier)}", err=True)
    except ValueError as error:
        raise DataError(str(error), path) from error


def check_writable(*paths: Path | None) -> None:
    """Whether the folders of these files are there; `-` is standard output.

    Raises:
        DataError: one is not.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.parent.is_dir():
            raise DataError("its folder does not exist; make it first", path)


def write_report(path: Path, text: str) -> None:
    """Write a report.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path) from error
