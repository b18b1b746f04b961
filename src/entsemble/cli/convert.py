"""`entsemble convert`: documents from one format to another."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from entsemble.cli.wording import counted, standard_output
from entsemble.data import formats
from entsemble.data.options import ConllFormat, Discontinuous, ReadOptions, Spacing
from entsemble.types import Document


def _columns(_context: click.Context, _option: click.Parameter, value: str | None) -> ConllFormat | None:
    """`1:3,4`: the column of the words, then those of the tags, counted from 1 as in `cut`."""
    if value is None:
        return None
    token, _, tags = value.partition(":")
    try:
        numbers = [int(token), *(int(t) for t in tags.split(",") if t)]
    except ValueError:
        numbers = [0]
    if 0 in numbers:
        raise click.BadParameter(f"{value!r} names no columns; write the word's and the tags', from 1, as in 1:4")
    places = [n - 1 if n > 0 else n for n in numbers]
    return ConllFormat(places[0], tuple(places[1:]))


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.argument("output", metavar="OUT")
@click.option(
    "--from", "source_format", type=click.Choice(formats.READABLE), help="Format of IN; recognised if absent."
)
@click.option(
    "--to",
    "target_format",
    type=click.Choice(formats.WRITABLE),
    help="Format of OUT; told by its ending, and for - JSON Lines.",
)
@click.option("--columns", callback=_columns, metavar="WORD:TAGS", help="CoNLL columns from 1, as 1:4 or 2:3,4.")
@click.option(
    "--text",
    "spacing",
    type=click.Choice(["natural", "spaced"]),
    default="natural",
    show_default=True,
    help="How tokens become a text.",
)
@click.option(
    "--discontinuous",
    type=click.Choice(["error", "hull"]),
    default="error",
    show_default=True,
    help="What to do with brat mentions in several pieces.",
)
def convert(
    inputs: tuple[str, ...],
    output: str,
    source_format: str | None,
    target_format: str | None,
    columns: ConllFormat | None,
    spacing: Spacing,
    discontinuous: Discontinuous,
) -> None:
    """Convert annotated documents between formats.

    IN are files and folders, OUT a file, or a new folder for brat; either may be - for a stream.
    """
    options = ReadOptions(conll=columns, spacing=spacing, discontinuous=discontinuous)
    if inputs == ("-",):
        documents = formats.read_stream(sys.stdin, "stdin", source_format, options)
    else:
        documents = formats.read([Path(p) for p in inputs], source_format, options)
    seen = _Counted(documents)
    if output == "-":
        formats.write_stream(seen, standard_output(), target_format or "jsonl")
    else:
        formats.write(seen, output, target_format)
    click.echo(f"{counted(seen.documents, 'document')}, {counted(seen.mentions, 'mention')}", err=True)


class _Counted:
    """Documents that count themselves as they pass."""

    def __init__(self, source: Iterable[Document]) -> None:
        self._source = source
        self.documents = self.mentions = 0

    def __iter__(self) -> Iterator[Document]:
        for document in self._source:
            self.documents += 1
            self.mentions += len(document.mentions)
            yield document
