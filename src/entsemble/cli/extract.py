"""`entsemble extract`: the main job."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from entsemble.assembly import Assembly, adapt, unannotated
from entsemble.cli.display import Display, display, stderr
from entsemble.cli.interrupt import StoppedError, interruptible
from entsemble.cli.options import Asked, shared_options
from entsemble.cli.report_files import check_writable
from entsemble.cli.selection import say_chosen
from entsemble.cli.summary import Summary
from entsemble.cli.wording import counted, standard_output
from entsemble.data.formats import WRITABLE, check_stream, check_target, read, read_stream, write, write_stream
from entsemble.errors import DataError
from entsemble.execution.journal import Journal
from entsemble.extractor import Extractor
from entsemble.ner.documents import Extracted, Failed
from entsemble.settings import environment
from entsemble.types import Document

_UNSURE = (".jsonl", ".json", ".html")
"""Endings of files that hold scores and say who voted for what."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told beside the mentions: of how many documents, with the ledger, and whether a later run may go on.

    Mentions that score less than `least` are told to `unsure` alone.
    """

    number: int | None
    ledger: bool
    resumable: bool
    least: float
    unsure: list[Document] | None


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or folder for brat; JSON Lines on standard output if not given.",
)
@click.option(
    "--format", "output_format", type=click.Choice(WRITABLE), help="Output format; by OUT's ending, or jsonl."
)
@click.option(
    "--runner",
    type=click.Choice(("local", "ray")),
    default="local",
    help="Where it runs: in this process, or on the actors of a Ray cluster.",
)
@click.option(
    "--min-score", type=click.FloatRange(0, 1), default=0.0, help="Leave out mentions that score less (see --unsure)."
)
@click.option(
    "--unsure",
    "unsure_path",
    type=click.Path(path_type=Path),
    help="Write what --min-score leaves out here, for people to review: a .jsonl, .json or .html file.",
)
@click.option("--ledger", is_flag=True, help="Keep in each document's meta what became of every span proposed.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON line on standard error.")
@shared_options()
def extract(
    inputs: tuple[str, ...],
    output: Path | None,
    output_format: str | None,
    runner: str,
    min_score: float,
    unsure_path: Path | None,
    ledger: bool,
    as_json: bool,
    **shared: Any,  # noqa: ANN401 - the shared options, made into Asked at once
) -> None:
    """Find the mentions in each INPUT: files, folders, or - for standard input."""
    asked = Asked(**shared)
    summary = Summary()
    unsure: list[Document] | None = [] if unsure_path else None
    _check_unsure(unsure_path, output, min_score)
    if output:
        check_target(output, output_format, again=True)
    else:
        check_stream(output_format or "jsonl")
    with display(quiet=asked.quiet) as shown, ExitStack() as stack:
        journal = stack.enter_context(closing(Journal(output))) if output else None
        if output and journal and not journal.held:  # else it is this run's own folder
            check_target(output, output_format)
        read_ones = islice(_documents(inputs, asked.input_format, summary), asked.limit)
        settings, documents, chosen = adapt(asked.settings(), environment(), read_ones, shown.callbacks())
        say_chosen(chosen, quiet=asked.quiet)
        assembly = stack.enter_context(Assembly(settings, environment(), shown.callbacks()))
        extractor: Extractor = assembly.ray_extractor() if runner == "ray" else assembly.extractor()
        held, changed = journal.begin(extractor.configuration) if journal else (0, [])
        _say_what_is_done(held, changed, quiet=asked.quiet)
        stopping = stack.enter_context(interruptible(extractor.stop))
        results = extractor.extract((unannotated(d) for d in documents), journal)
        number = _number(inputs, asked)
        summary.started = time.perf_counter()
        told = Telling(number=number, ledger=ledger, resumable=journal is not None, least=min_score, unsure=unsure)
        found = _found(results, summary, shown, stopping, told)
        if output is None:
            write_stream(found, standard_output(), output_format or "jsonl")
        else:
            write(found, output, output_format, again=held > 0)
        if unsure_path:
            write(unsure or (), unsure_path, again=held > 0)
        if journal and not summary.failures and not summary.absent:
            journal.remove()
    _report(summary, as_json=as_json, quiet=asked.quiet, resumable=output is not None)
    if summary.failures:
        sys.exit(1)


def _say_what_is_done(held: int, changed: list[str], *, quiet: bool) -> None:
    """What the journal of an earlier run means for this one."""
    if held and changed:
        told = f"done with another configuration ({', '.join(changed)}): {counted(held, 'document')}"
        click.echo(f"{told}; all are done afresh", err=True)
    elif held and not quiet:
        click.echo(f"going on, done already: {counted(held, 'document')}", err=True)


def _documents(inputs: tuple[str, ...], format: str | None, summary: Summary) -> Iterator[Document]:
    """A file that cannot be read is reported, and the others go on."""

    def unreadable(error: DataError) -> None:
        summary.failures.append((str(error.path), str(error)))
        stderr().print(f"entsemble: {error}", style="red", markup=False)

    if "-" in inputs:
        if len(inputs) > 1:
            raise click.UsageError("standard input (-) cannot be mixed with files")
        return read_stream(sys.stdin.buffer, "stdin", format)
    return read(inputs, format, on_error=unreadable)


def _number(inputs: tuple[str, ...], asked: Asked) -> int | None:
    """How many documents there are, for the time left: reading them once more costs next to nothing beside the models.

    `None` where they can be read only once.
    """
    if asked.quiet or not all(Path(p).is_file() or Path(p).is_dir() for p in inputs):
        return None
    try:
        return sum(1 for _ in islice(read(inputs, asked.input_format, on_error=lambda _: None), asked.limit))
    except DataError:
        return None  # whoever reads in earnest says what is wrong


def _found(
    results: Iterator[Extracted | Failed],
    summary: Summary,
    shown: Display,
    stopping: threading.Event,
    told: Telling,
) -> Iterator[Document]:
    """The documents that were done; what failed is reported and counted."""
    for result in results:
        summary.add(result)
        shown.step("documents", summary.documents, told.number, summary.rates())
        if isinstance(result, Failed):
            stderr().print(f"entsemble: {result.document.id}: {result.error}", style="red", markup=False)
        else:
            yield _told(_sure(result, summary, told), ledger=told.ledger)
    if stopping.is_set():
        raise StoppedError(summary.documents, resumable=told.resumable)


def _sure(result: Extracted, summary: Summary, told: Telling) -> Extracted:
    """The result without mentions that score too little, which are put aside."""
    document = result.document
    unsure = tuple(m for m in document.mentions if m.score is not None and m.score < told.least)
    if not unsure:
        return result
    summary.unsure += len(unsure)
    if told.unsure is not None:
        told.unsure.append(replace(document, mentions=unsure))
    kept = tuple(m for m in document.mentions if m not in unsure)
    return replace(result, document=replace(document, mentions=kept))


def _check_unsure(path: Path | None, output: Path | None, least: float) -> None:
    """What would be found out after hours of work is said before."""
    if path is None:
        return
    if not least:
        raise click.UsageError("--unsure needs --min-score: it says which mentions are unsure")
    if path.suffix not in _UNSURE:
        raise click.UsageError(f"--unsure is a file that ends in {', '.join(_UNSURE)}")
    if output and path.resolve() == output.resolve():
        raise click.UsageError("--unsure and --output name the same file")
    check_writable(path)


def _told(result: Extracted, *, ledger: bool) -> Document:
    """The document with what else is to be said about it in its meta."""
    told: dict[str, Any] = {}
    if result.absent:
        told["absent"] = dict(result.absent)
    if ledger:
        told["ledger"] = [e.to_json() for e in result.ledger]
        told["demonstrations"] = [list(d) for d in result.demonstrations]
    return replace(result.document, meta={**result.document.meta, "entsemble": told}) if told else result.document


def _report(summary: Summary, *, as_json: bool, quiet: bool, resumable: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.to_json(), ensure_ascii=False), err=True)
    elif not quiet:
        click.echo(summary.line(), err=True)
    if summary.absent and resumable:
        click.echo("the same command again does the documents without a member with all of them", err=True)
    if summary.failures:
        again = "; the same command again tries these alone" if resumable else ""
        click.echo(f"{len(summary.failures)} inputs failed; the messages above say which and why{again}", err=True)
