"""`entsemble extract`: the main job."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from entsemble.assemble import Assembly, unannotated
from entsemble.cli.display import Display, display, stderr
from entsemble.cli.options import Asked, shared_options
from entsemble.cli.summary import Summary
from entsemble.data.formats import WRITABLE, read, read_stream, write, write_stream
from entsemble.ensemble.document import Extracted, Failed
from entsemble.errors import DataError
from entsemble.settings import environment
from entsemble.types import Document


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File or folder; standard output if not given.")
@click.option(
    "--format", "output_format", type=click.Choice(WRITABLE), help="Output format; by OUT's ending, or jsonl."
)
@click.option("--ledger", is_flag=True, help="Keep in each document's meta what became of every span proposed.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON line.")
@shared_options
def extract(
    inputs: tuple[str, ...],
    output: Path | None,
    output_format: str | None,
    ledger: bool,
    as_json: bool,
    **shared: Any,  # noqa: ANN401 - the shared options, made into Asked at once
) -> None:
    """Find the mentions in each INPUT: files, folders, or - for standard input."""
    asked = Asked(**shared)
    summary = Summary()
    with display(quiet=asked.quiet) as shown:
        assembly = Assembly(asked.settings(), environment(), shown.watch())
        with assembly:
            extractor = assembly.extractor()
            documents = islice(_documents(inputs, asked.input_format, summary), asked.limit)
            results = extractor.extract(unannotated(d) for d in documents)
            found = _found(results, summary, shown, ledger=ledger)
            if output is None:
                write_stream(found, sys.stdout, output_format or "jsonl")
            else:
                write(found, output, output_format)
    _report(summary, as_json=as_json, quiet=asked.quiet)
    if summary.failures:
        sys.exit(1)


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


def _found(
    results: Iterator[Extracted | Failed], summary: Summary, shown: Display, *, ledger: bool
) -> Iterator[Document]:
    for result in results:
        summary.add(result)
        shown.step("documents", summary.documents, None)
        if isinstance(result, Failed):
            stderr().print(f"entsemble: {result.document.id}: {result.error}", style="red", markup=False)
        else:
            yield _with_ledger(result) if ledger else result.document


def _with_ledger(result: Extracted) -> Document:
    told = {"ledger": [e.to_json() for e in result.ledger], "demonstrations": [list(d) for d in result.demonstrations]}
    return replace(result.document, meta={**result.document.meta, "entsemble": told})


def _report(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.to_json(), ensure_ascii=False), err=True)
    elif not quiet:
        click.echo(summary.line(), err=True)
    if summary.failures:
        click.echo(f"{len(summary.failures)} inputs failed; the messages above say which and why", err=True)
