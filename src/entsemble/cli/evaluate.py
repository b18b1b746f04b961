"""`entsemble evaluate`: extract from annotated documents, then score."""

from __future__ import annotations

import json
import random
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from entsemble.assembly import Assembly, adapt, unannotated
from entsemble.cli.display import display
from entsemble.cli.options import Asked, shared_options
from entsemble.cli.report_files import against_option, check_writable, read_counts, say_difference, write_report
from entsemble.cli.selection import say_chosen
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.errors import DataError
from entsemble.evaluation.render.html import page
from entsemble.evaluation.render.text import LABEL_HEADER, SUMMARY_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import Report, build_report
from entsemble.evaluation.stages import StageCounts, stage_counts
from entsemble.ner.documents import Extracted, Failed
from entsemble.scoring.stacking import Stacking
from entsemble.settings import Settings, environment
from entsemble.types import Document


@click.command()
@click.argument("gold", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report here; - prints it and nothing else.",
)
@click.option(
    "--html",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to look at here: intervals, confusion, calibration, stages, errors, cost.",
)
@against_option
@shared_options()
def evaluate(
    gold: Path,
    report_path: Path | None,
    page_path: Path | None,
    against: Path | None,
    **shared: Any,  # noqa: ANN401 - made into Asked at once
) -> None:
    """Extract from the annotated documents of GOLD, and score against them.

    With --limit, the documents are drawn at random with --seed.
    """
    asked = Asked(**shared)
    settings = asked.settings()
    documents = sample(list(read(gold, asked.input_format)), asked.limit, settings.seed)
    if not documents:
        raise DataError("no document in it", gold)
    check_writable(report_path, page_path)
    earlier = read_counts(against) if against else None
    with display(quiet=asked.quiet) as shown, ExitStack() as stack:
        settings, _, chosen = adapt(settings, environment(), documents, shown.callbacks(), scored=documents)
        say_chosen(chosen, quiet=asked.quiet)
        assembly = stack.enter_context(Assembly(settings, environment(), shown.callbacks(), scored=documents))
        extractor = assembly.extractor()
        parameters = assembly.models.parameters
        config = _configuration(settings, extractor.pipeline.scorer)
        summary = Summary()
        results = []
        for result in extractor.extract(unannotated(d) for d in documents):
            summary.add(result)
            shown.step("documents", summary.documents, len(documents), summary.rates())
            results.append(result)
    asked_all = settings.classification.sure is None  # else nobody knows what a member would have answered alone
    names = [m.name for m in extractor.pipeline.members] if asked_all else []
    report = report_of(documents, results, names, summary.cost(parameters), config)
    if page_path is not None:
        done = [r.document for r in results if isinstance(r, Extracted)]
        write_report(page_path, page(report, documents, done, f"Evaluation on {gold.name}"))
    if report_path is not None and str(report_path) == "-":
        click.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=1))
    else:
        if report_path is not None:
            write_report(report_path, json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n")
        if not asked.quiet:
            _show(report, summary)
    for name, error in summary.failures:
        click.echo(f"entsemble: {name}: {error}", err=True)
    if against and earlier is not None:
        say_difference(report, against, earlier)
    if summary.failures:
        sys.exit(1)


def _configuration(settings: Settings, stacking: Stacking | None) -> dict[str, Any]:
    """The settings, with what was not asked for, but done, and without what an address says of who asks."""
    told = settings.model_dump(mode="json")
    for member in told["members"]:
        if member["base_url"]:  # a report is passed on
            address = urlsplit(member["base_url"])
            own = address.netloc.rpartition("@")[2]
            member["base_url"] = address._replace(netloc=own, query="", fragment="").geturl()
    told["stacking"]["sentences"] = stacking.weights.sentences if stacking else 0
    if stacking is None:
        told["classification"]["vote"] = settings.classification.vote or "soft"
    return told


def sample(documents: list[Document], limit: int | None, seed: int) -> list[Document]:
    """`limit` documents drawn with `seed`, in the order of the draw; all of them, as they come, without a limit."""
    if limit is None or limit >= len(documents):
        return documents
    return random.Random(seed).sample(documents, limit)


def report_of(
    gold: list[Document],
    results: list[Extracted | Failed],
    names: list[str],
    cost: dict[str, Any],
    config: dict[str, Any],
) -> Report:
    """The report of a run; a document that failed counts as one in which nothing was found."""
    done = {r.document.id: r for r in results if isinstance(r, Extracted)}
    stages = StageCounts()
    for document in gold:
        if document.id in done:
            r = done[document.id]
            stages += stage_counts(document.mentions, r.proposed, r.typed, r.verified)
    return build_report(
        gold,
        [r.document for r in done.values()],
        members={name: [replace(r.document, mentions=r.alone.get(name, ())) for r in done.values()] for name in names},
        stages=stages,
        cost=cost,
        config=config,
        seed=int(config["seed"]),
    )


def _show(report: Report, summary: Summary) -> None:
    console = Console(highlight=False)
    for header, rows in ((LABEL_HEADER, label_rows(report.total.exact)), (SUMMARY_HEADER, summary_rows(report))):
        table = Table(*header)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
    click.echo(summary.line(), err=True)
