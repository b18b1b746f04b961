"""`entsemble score`: how well one file's mentions match another's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entsemble.cli.report_files import against_option, check_writable, read_counts, say_difference, write_report
from entsemble.data.formats import read
from entsemble.evaluation.documents import with_ids_of
from entsemble.evaluation.render.html import page
from entsemble.evaluation.render.text import LABEL_HEADER, SUMMARY_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import Report, build_report
from entsemble.types import Document

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("gold", type=_FILE)
@click.argument("predicted", type=_FILE)
@click.option(
    "--json", "report_path", metavar="REPORT", help="Write the report there as JSON; - prints it and nothing else."
)
@click.option(
    "--html",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to look at here, as evaluate does.",
)
@against_option
@click.option("--relaxed", is_flag=True, help="Show the table with overlap as enough, instead of exact ranges.")
def score(
    gold: Path, predicted: Path, report_path: str | None, page_path: Path | None, against: Path | None, relaxed: bool
) -> None:
    """Score the mentions of PREDICTED against those of GOLD, on the same documents.

    Documents are paired by id. Where the two files have no id in common, as with formats that hold none, they are
    paired by position.
    """
    check_writable(page_path, None if report_path is None else Path(report_path))
    earlier = read_counts(against) if against else None
    wanted = list(read(gold))
    found = _aligned(wanted, list(read(predicted)))
    report = build_report(wanted, found, config={"gold": str(gold), "predicted": str(predicted)})
    if page_path is not None:
        write_report(page_path, page(report, wanted, found, f"{predicted.name} against {gold.name}"))
    if report_path is not None:
        _write(report, report_path)
    if report_path != "-":
        _show(report, relaxed)
    if against and earlier is not None:
        say_difference(report, against, earlier)


def _aligned(gold: Sequence[Document], predicted: Sequence[Document]) -> Sequence[Document]:
    """Predicted documents with gold ids."""
    if not predicted or {x.id for x in gold} & {x.id for x in predicted}:
        return predicted
    click.echo("The files have no document id in common: documents are paired by position.", err=True)
    return with_ids_of(gold, predicted)


def _write(report: Report, path: str) -> None:
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2)
    if path == "-":
        click.echo(text)
    else:
        write_report(Path(path), text + "\n")


def _show(report: Report, relaxed: bool) -> None:
    console = Console()
    counts, title = (report.total.relaxed, "Overlap is enough") if relaxed else (report.total.exact, "Exact ranges")
    console.print(_table(title, LABEL_HEADER, label_rows(counts)))
    console.print(_table("Summary", SUMMARY_HEADER, summary_rows(report)))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A rich table; cells are plain text, so that a label with brackets is no markup."""
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
