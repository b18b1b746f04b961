"""`entsemble extract`: find the mentions in documents."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from entsemble._lib.paths import real_path
from entsemble._lib.text import message_line, pluralize
from entsemble.cli.display import print_document
from entsemble.cli.help import GroupedCommand
from entsemble.cli.inputs import InputReader, find_inputs
from entsemble.cli.interrupt import StopEvent, StoppedError, interruptible
from entsemble.cli.options import SharedOptions, parse_options, shared_options, verbose_option
from entsemble.cli.output import check_writable, standard_output
from entsemble.cli.progress import ProgressDisplay, error_console, show_progress
from entsemble.cli.results import ResultOptions, result_options
from entsemble.cli.selection import print_selection
from entsemble.cli.summary import Summary
from entsemble.data.format_table import WRITABLE
from entsemble.data.formats import check_stream, check_target, write, write_stream
from entsemble.ensemble import Ensemble, Runner
from entsemble.execution.journal import Journal
from entsemble.ner.documents import Extracted, Failed
from entsemble.types import Document

_REVIEW_SUFFIXES = (".jsonl", ".json", ".html")
"""Formats that hold scores and votes."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The options of `extract` that it does not share with other commands."""

    output: Path | None
    output_format: str | None
    runner: Runner
    min_score: float
    unsure_path: Path | None
    ledger: bool
    as_json: bool
    verbose: bool

    @property
    def shows_documents(self) -> bool:
        """Whether the documents are shown to a person at a terminal, instead of being written."""
        is_free = self.output is None and self.output_format is None and not self.ledger
        return is_free and sys.stdout is not None and sys.stdout.isatty()

    def check(self) -> None:
        """Reject outputs that cannot be written before hours of work, not after.

        Raises:
            click.UsageError: options that contradict one another.
            ConfigError: no such format, or one that cannot be written there.
            DataError: a path that cannot be written.
        """
        if self.unsure_path is not None:
            if not self.min_score:
                raise click.UsageError("--unsure needs --min-score, which decides which mentions are unsure")
            if self.unsure_path.suffix not in _REVIEW_SUFFIXES:
                raise click.UsageError(f"--unsure must be a file that ends in {', '.join(_REVIEW_SUFFIXES)}")
            if self.output and real_path(self.unsure_path) == real_path(self.output):
                raise click.UsageError("--unsure and --output name the same file")
            check_writable(self.unsure_path)
        if self.output:
            check_target(self.output, self.output_format, overwrite=True)
        else:
            check_stream(self.output_format or "jsonl")


@click.command(cls=GroupedCommand)
@click.argument("arguments", nargs=-1, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or folder for brat. Default: JSON Lines on standard output; on a terminal, the text in colour.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(WRITABLE),
    help="Output format. Default: by the extension of OUTPUT, or jsonl.",
)
@click.option(
    "--runner",
    type=click.Choice(("local", "ray")),
    default="local",
    help="Where to run: in this process, or on the actors of a Ray cluster.",
)
@click.option(
    "--min-score", type=click.FloatRange(0, 1), default=0.0, help="Drop mentions with a lower score (see --unsure)."
)
@click.option(
    "--unsure",
    "unsure_path",
    type=click.Path(path_type=Path),
    help="Write the mentions that --min-score drops here, for review: a .jsonl, .json or .html file.",
)
@result_options
@click.option("--ledger", is_flag=True, help="Record in each document's meta what became of every proposed span.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON line on standard error.")
@verbose_option
@shared_options()
def extract(arguments: tuple[str, ...], **options: object) -> None:
    """Find the mentions in each INPUT: files, folders, a text in quotes, or - for standard input.

    Without INPUT, what is piped in is read.
    """
    shared, output_options = parse_options(SharedOptions, options), parse_options(OutputOptions, options)
    results = parse_options(ResultOptions, options)
    if results.redact and output_options.ledger:
        raise click.UsageError("--ledger writes the names that --redact removes; give one of them")
    format_name = results.format(output_options.output, output_options.output_format)
    output_options = replace(output_options, output_format=format_name)
    output_options.check()
    inputs, settings = find_inputs(arguments, shared.labels), shared.settings()
    output, unsure_path = output_options.output, output_options.unsure_path
    summary = Summary()
    reader = InputReader(inputs, shared.input_format, shared.limit, summary.add_unreadable)
    reader.look()
    if summary.failures and not reader.document_count:
        _end(summary, output_options, quiet=shared.quiet)
    with show_progress(quiet=shared.quiet) as progress, ExitStack() as stack:
        journal = stack.enter_context(closing(Journal(output))) if output else None
        if output and journal and not journal.record_count:  # otherwise the folder is this run's
            check_target(output, output_options.output_format)
        ensemble = stack.enter_context(Ensemble(settings, progress=progress.callbacks(), runner=output_options.runner))
        documents = ensemble.prepare(reader.documents())
        print_selection(ensemble.selection, quiet=shared.quiet)
        finished_count, changed = journal.begin(ensemble.fingerprints) if journal else (0, [])
        _print_resumption(finished_count, changed, quiet=shared.quiet)
        run = ensemble.run(documents, journal=journal)
        stopping = stack.enter_context(interruptible(run.stop))
        collector = _Collector(output_options, summary, progress, reader.document_count)
        summary.started = time.perf_counter()
        finished = results.apply(collector.documents(run, stopping), output, format_name)
        if output_options.shows_documents:
            _show(finished, progress, reader.document_count)
        elif output is None:
            write_stream(finished, standard_output(), format_name or "jsonl")
        else:
            write(
                finished,
                output,
                format_name,
                overwrite=finished_count > 0,
                lock=journal.lock if journal else None,
            )
        if unsure_path:
            write(collector.unsure_documents, unsure_path, overwrite=finished_count > 0)
        if journal and not summary.failures and not summary.absent:
            journal.remove()
    _end(summary, output_options, quiet=shared.quiet)


class _Collector:
    """Turns results into documents to write; counts them, and reports failures.

    Attributes:
        unsure_documents: documents with the mentions that `--min-score` drops, if they are to be written.
    """

    def __init__(
        self, options: OutputOptions, summary: Summary, progress: ProgressDisplay, document_count: int | None
    ) -> None:
        self._options, self._summary, self._progress = options, summary, progress
        self._document_count = document_count
        self.unsure_documents: list[Document] = []

    def documents(self, results: Iterator[Extracted | Failed], stopping: StopEvent) -> Iterator[Document]:
        """The successful documents.

        Raises:
            StoppedError: at the end, if `stopping` is set.
        """
        for result in results:
            self._summary.add(result)
            self._progress.step("documents", self._summary.documents, self._document_count, self._summary.rates())
            if isinstance(result, Failed):
                message = message_line("entsemble", result.document.id, result.error)
                error_console().print(message, style="red", markup=False, soft_wrap=True)
            else:
                yield self._with_meta(self._without_unsure(result))
        if stopping.is_set():
            raise StoppedError(self._summary.documents, stopping, resumable=self._options.output is not None)

    def _without_unsure(self, result: Extracted) -> Extracted:
        """The result without mentions that score below `--min-score`."""
        document, min_score = result.document, self._options.min_score
        unsure = tuple(m for m in document.mentions if m.score is not None and m.score < min_score)
        if not unsure:
            return result
        self._summary.unsure_mentions += len(unsure)
        if self._options.unsure_path is not None:
            self.unsure_documents.append(replace(document, mentions=unsure))
        confident = tuple(mention for mention in document.mentions if mention not in unsure)
        return replace(result, document=replace(document, mentions=confident))

    def _with_meta(self, result: Extracted) -> Document:
        """The document, with absent members and the ledger in its meta."""
        details: dict[str, Any] = {}
        if result.absent_members:
            details["absent"] = dict(result.absent_members)
        if self._options.ledger:
            details["ledger"] = [entry.to_json() for entry in result.ledger]
            details["demonstrations"] = [list(sentence_ids) for sentence_ids in result.demonstration_ids]
        if not details:
            return result.document
        return replace(result.document, meta={**result.document.meta, "entsemble": details})


def _print_resumption(finished_count: int, changed: list[str], *, quiet: bool) -> None:
    """Print how much of the work an earlier run's journal saves."""
    if not finished_count:
        return
    documents = pluralize(finished_count, "document")
    if changed:
        settings = ", ".join(changed)
        click.echo(
            f"{documents} of an earlier run are discarded, because the configuration changed ({settings}); "
            "starting again",
            err=True,
        )
    elif not quiet:
        click.echo(f"resuming: {documents} already done", err=True)


def _show(documents: Iterable[Document], progress: ProgressDisplay, document_count: int | None) -> None:
    """Show each document, with its name unless there is only one."""
    console = Console(highlight=False)
    for document in documents:
        with progress.paused():
            if document_count != 1:
                console.print(f"\n{escape(document.id)}\n", style="bold")
            print_document(document, console)


def _describe_place(options: OutputOptions) -> str:
    """Where the result is, for the summary."""
    if options.shows_documents:
        return "to get a file, add -o mentions.jsonl"
    places = [f"written to {options.output}"] if options.output else []
    places += [f"unsure mentions in {options.unsure_path}"] if options.unsure_path else []
    return "; ".join(places)


def _end(summary: Summary, options: OutputOptions, *, quiet: bool) -> None:
    """Print the summary, and leave with status 1 if something failed."""
    _print_summary(summary, options, quiet=quiet)
    if summary.failures:
        sys.exit(1)


def _print_summary(summary: Summary, options: OutputOptions, *, quiet: bool) -> None:
    if options.as_json:
        click.echo(json.dumps(summary.to_json(), ensure_ascii=False), err=True)
    elif not quiet:
        click.echo(summary.line(_describe_place(options), verbose=options.verbose), err=True)
    resumable = options.output is not None
    if summary.absent and resumable:
        click.echo("re-run the same command to repeat the documents that a member was missing from", err=True)
    if summary.failures:
        advice = "; re-run the same command to retry only these" if resumable else ""
        failures = f"{pluralize(len(summary.failures), 'input')} failed; the messages above say which and why"
        click.echo(f"{failures}{advice}", err=True)
