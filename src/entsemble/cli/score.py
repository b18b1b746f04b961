"""`entsemble score`: the mentions of one file against those of another."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, tee
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entsemble._lib.text import pluralize
from entsemble.cli.options import against_option
from entsemble.cli.output import check_writable
from entsemble.cli.report_files import print_comparison, read_report_counts, write_report
from entsemble.data.format_table import READABLE
from entsemble.data.formats import read
from entsemble.evaluation.documents import with_gold_ids
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.render.tally import PageTally
from entsemble.evaluation.render.text import LABEL_HEADER, SUMMARY_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import Report, build_report
from entsemble.types import Document

_BLOCK_PARTS = 10_000
"""Parts of a report's JSON that are written at once: numbers, names and what is between them."""

_FILE = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("gold_path", metavar="GOLD", type=_FILE)
@click.argument("predicted_path", metavar="PREDICTED", type=_FILE)
@click.option("--from", "input_format", type=click.Choice(READABLE), help="Format of both. Default: detected.")
@click.option(
    "--predicted-from",
    "predicted_format",
    type=click.Choice(READABLE),
    help="Format of PREDICTED, if it is another one than that of GOLD.",
)
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
    input_format: str | None,
    predicted_format: str | None,
    report_path: str | None,
    page_path: Path | None,
    against: Path | None,
    relaxed: bool,
) -> None:
    """Score the mentions of PREDICTED against those of GOLD: files, or folders, of the same documents.

    Documents are paired by id, or by position if the two files have no id in common, as with formats without ids.
    """
    check_writable(page_path, None if report_path is None else Path(report_path))
    earlier_counts = read_report_counts(against) if against else None
    config = {"gold": str(gold_path), "predicted": str(predicted_path)}
    gold_documents, predicted_documents = _read_pair(
        _reader(gold_path, input_format), _reader(predicted_path, predicted_format or input_format)
    )
    tally = PageTally() if page_path else None
    report = build_report(gold_documents, predicted_documents, config=config, on_pair=tally.add if tally else None)
    if page_path and tally:
        write_report(page_path, render_html(report, tally, f"{predicted_path.name} against {gold_path.name}"))
    if missing := report.missing_documents:
        documents = pluralize(len(missing), "gold document")
        click.echo(f"{documents} without a prediction, such as {missing[0]!r}: all mentions count as missed.", err=True)
    if report_path is not None:
        _write_json(report, report_path)
    if report_path != "-":
        _print_tables(report, relaxed)
    if against and earlier_counts is not None:
        print_comparison(report, against, earlier_counts)


def _read_pair(
    read_gold: Callable[[], Iterator[Document]], read_predicted: Callable[[], Iterator[Document]]
) -> tuple[Iterable[Document], Iterable[Document]]:
    """The documents of both files, read one at a time; the predicted ones have gold ids if the files share no id."""
    if _share_an_id(read_gold, read_predicted):
        return read_gold(), read_predicted()
    click.echo("The files have no document id in common: documents are paired by position.", err=True)
    gold_documents, gold_copies = tee(read_gold())
    return gold_documents, with_gold_ids(gold_copies, read_predicted())


def _reader(path: Path, format_name: str | None) -> Callable[[], Iterator[Document]]:
    """Reads a file from its start at each call; what can be read once only, such as a pipe, is held in memory."""
    if path.is_file() or path.is_dir():
        return lambda: read(path, format_name)
    documents = list(read(path, format_name))
    return lambda: iter(documents)


def _share_an_id(read_gold: Callable[[], Iterator[Document]], read_predicted: Callable[[], Iterator[Document]]) -> bool:
    """Whether the files share an id, or nothing is predicted. The first documents tell, or else all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are given when the documents are read to be scored
        first_gold, first_predicted = (list(islice(reader(), 1)) for reader in (read_gold, read_predicted))
        if not first_predicted or (first_gold and first_gold[0].id == first_predicted[0].id):
            return True
        gold_ids = {document.id for document in read_gold()}
        return any(document.id in gold_ids for document in read_predicted())


def _write_json(report: Report, path: str) -> None:
    encoder = json.JSONEncoder(ensure_ascii=False, indent=2)
    parts = chain(encoder.iterencode(report.to_json()), "\n")
    blocks = iter(lambda: "".join(islice(parts, _BLOCK_PARTS)), "")
    if path == "-":
        for block in blocks:
            click.echo(block, nl=False)
    else:
        write_report(Path(path), blocks)


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
