"""`entsemble evaluate`: extract from annotated documents, then score."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from entsemble._lib.text import message_line
from entsemble.cli.help import GroupedCommand
from entsemble.cli.options import (
    SharedOptions,
    against_option,
    parse_options,
    sample_documents,
    shared_options,
    verbose_option,
)
from entsemble.cli.output import check_writable
from entsemble.cli.progress import show_progress
from entsemble.cli.report_files import print_comparison, read_report_counts, write_report
from entsemble.cli.selection import print_selection
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.ensemble import Ensemble
from entsemble.errors import DataError
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.render.tally import PageTally
from entsemble.evaluation.render.text import LABEL_HEADER, SUMMARY_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import Report, build_report
from entsemble.evaluation.stages import StageCounts, count_stages
from entsemble.ner.documents import Extracted, Failed
from entsemble.scoring.scorer import Scorer
from entsemble.settings import Settings
from entsemble.types import Document


@click.command(cls=GroupedCommand)
@click.argument("gold_path", metavar="GOLD", type=click.Path(path_type=Path))
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
    help="Write an HTML page here: intervals, confusion, calibration, stages, errors, cost.",
)
@against_option
@verbose_option
@shared_options()
def evaluate(
    gold_path: Path,
    report_path: Path | None,
    page_path: Path | None,
    against: Path | None,
    verbose: bool,
    **options: object,
) -> None:
    """Extract from the annotated documents of GOLD, and score the result against them.

    With --limit, the documents are a random sample, drawn with --seed.
    """
    shared = parse_options(SharedOptions, options)
    settings = shared.settings()
    documents = sample_documents(list(read(gold_path, shared.input_format)), shared.limit, settings.seed)
    if not documents:
        raise DataError("contains no document", gold_path)
    check_writable(report_path, page_path)
    earlier_counts = read_report_counts(against) if against else None
    summary = Summary()
    with (
        show_progress(quiet=shared.quiet) as progress,
        Ensemble(settings, held_out=documents, progress=progress.callbacks()) as ensemble,
    ):
        ensemble.prepare(documents)
        print_selection(ensemble.selection, quiet=shared.quiet)
        config = _report_config(ensemble.settings, ensemble.pipeline.scorer)
        member_names = [member.name for member in ensemble.pipeline.members]
        parameters = ensemble.parameters
        summary.started = time.perf_counter()
        results = []
        for result in ensemble.run(documents):
            summary.add(result)
            progress.step("documents", summary.documents, len(documents), summary.rates())
            results.append(result)
    if settings.classification.skip_larger_above is not None:
        member_names = []  # not every member answered for every span, so none can be scored by itself
    tally = PageTally()
    report = _build_report(documents, results, member_names, summary.cost(parameters), config, tally)
    if page_path is not None:
        write_report(page_path, render_html(report, tally, f"Evaluation on {gold_path.name}"))
    if report_path is not None:
        _write_json(report, report_path)
    if str(report_path) != "-" and not shared.quiet:
        _print_tables(report)
        click.echo(summary.line(verbose=verbose), err=True)
    for document_id, message in summary.failures:
        click.echo(message_line("entsemble", document_id, message), err=True)
    if against and earlier_counts is not None:
        print_comparison(report, against, earlier_counts)
    if summary.failures:
        sys.exit(1)


def _report_config(settings: Settings, stacking: Scorer | None) -> dict[str, Any]:
    """The settings with defaults resolved, and without the credentials that a server's address may contain."""
    config = settings.model_dump(mode="json")
    for member in config["members"]:
        if member["base_url"]:  # reports are shared
            address = urlsplit(member["base_url"])
            host = address.netloc.rpartition("@")[2]
            member["base_url"] = address._replace(netloc=host, query="", fragment="").geturl()
    config["stacking"]["sentences"] = stacking.model.training_sentences if stacking else 0
    if stacking is None:
        config["classification"]["vote"] = settings.classification.vote or "soft"
    return config


def _successful(results: Iterable[Extracted | Failed]) -> list[Extracted]:
    return [result for result in results if isinstance(result, Extracted)]


def _build_report(
    gold_documents: Sequence[Document],
    results: Iterable[Extracted | Failed],
    member_names: Sequence[str],
    cost: dict[str, Any],
    config: dict[str, Any],
    tally: PageTally,
) -> Report:
    """The report of a run, and its page's tally; a failed document counts as one without predictions."""
    by_id = {result.document.id: result for result in _successful(results)}
    stages = StageCounts()
    for document in gold_documents:
        if result := by_id.get(document.id):
            stages += count_stages(document.mentions, result.candidate_spans, result.voted_labels, result.verifications)
    members = {
        member_name: [
            replace(result.document, mentions=result.member_mentions.get(member_name, ())) for result in by_id.values()
        ]
        for member_name in member_names
    }
    return build_report(
        gold_documents,
        [result.document for result in by_id.values()],
        members=members,
        stages=stages,
        cost=cost,
        config=config,
        seed=int(config["seed"]),
        on_pair=tally.add,
    )


def _write_json(report: Report, path: Path) -> None:
    content = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
    if str(path) == "-":
        click.echo(content)
    else:
        write_report(path, content + "\n")


def _print_tables(report: Report) -> None:
    console = Console(highlight=False)
    for header, rows in ((LABEL_HEADER, label_rows(report.counts.exact)), (SUMMARY_HEADER, summary_rows(report))):
        table = Table(*header)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
