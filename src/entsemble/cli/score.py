"""`entsemble score`: the mentions of one file against those of another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entsemble.cli.options import against_option
from entsemble.cli.output import check_writable, print_comparison, read_report_counts, write_report
from entsemble.data.formats import read
from entsemble.evaluation.documents import with_gold_ids
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.render.text import LABEL_HEADER, SUMMARY_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import Report, build_report
from entsemble.types import Document

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("gold_path", metavar="GOLD", type=_FILE)
@click.argument("predicted_path", metavar="PREDICTED", type=_FILE)
@click.option(
    "--json", "report_path", metavar="REPORT", help="Write the report here as JSON; - prints it and nothing else."
)
@click.option(
    "--html",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML page here, as evaluate does.",
)
@against_option
@click.option("--relaxed", is_flag=True, help="Count overlapping ranges as matches in the table.")
def score(
    gold_path: Path,
    predicted_path: Path,
    report_path: str | None,
    page_path: Path | None,
    against: Path | None,
    relaxed: bool,
) -> None:
    """Score the mentions of PREDICTED against those of GOLD, on the same documents.

    Documents are paired by id, or by position if the two files have no id in common, as with formats without ids.
    """
    check_writable(page_path, None if report_path is None else Path(report_path))
    earlier_counts = read_report_counts(against) if against else None
    gold_documents = list(read(gold_path))
    predicted_documents = _with_gold_ids(gold_documents, list(read(predicted_path)))
    report = build_report(
        gold_documents, predicted_documents, config={"gold": str(gold_path), "predicted": str(predicted_path)}
    )
    if page_path is not None:
        title = f"{predicted_path.name} against {gold_path.name}"
        write_report(page_path, render_html(report, gold_documents, predicted_documents, title))
    if report_path is not None:
        _write_json(report, report_path)
    if report_path != "-":
        _print_tables(report, relaxed)
    if against and earlier_counts is not None:
        print_comparison(report, against, earlier_counts)


def _with_gold_ids(gold: Sequence[Document], predicted: Sequence[Document]) -> Sequence[Document]:
    """The predicted documents, with the ids of the gold documents if they share none."""
    if not predicted or {document.id for document in gold} & {document.id for document in predicted}:
        return predicted
    click.echo("The files have no document id in common: documents are paired by position.", err=True)
    return with_gold_ids(gold, predicted)


def _write_json(report: Report, path: str) -> None:
    content = json.dumps(report.to_json(), ensure_ascii=False, indent=2)
    if path == "-":
        click.echo(content)
    else:
        write_report(Path(path), content + "\n")


def _print_tables(report: Report, relaxed: bool) -> None:
    console = Console()
    counts, title = (report.counts.relaxed, "Overlap is enough") if relaxed else (report.counts.exact, "Exact ranges")
    console.print(_table(title, LABEL_HEADER, label_rows(counts)))
    console.print(_table("Summary", SUMMARY_HEADER, summary_rows(report)))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A rich table whose cells are plain text, so that brackets in a label are not read as markup."""
    table = Table(title=title, title_justify="left")
    for index, column_name in enumerate(header):
        table.add_column(column_name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
