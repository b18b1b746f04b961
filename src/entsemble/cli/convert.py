"""`entsemble convert`: documents from one format to another."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from entsemble._lib.text import pluralize
from entsemble.cli.options import parse_options
from entsemble.cli.output import standard_output
from entsemble.cli.results import ResultOptions, result_options
from entsemble.data import formats
from entsemble.data.format_table import READABLE, WRITABLE
from entsemble.data.options import ConllFormat, Discontinuous, ReadOptions, Spacing, WriteOptions
from entsemble.errors import warn
from entsemble.types import Document


def _parse_columns(_context: click.Context, _option: click.Parameter, value: str | None) -> ConllFormat | None:
    """Parse `1:3,4`: the token column, then the tag columns, counted from 1 as in `cut`."""
    if value is None:
        return None
    token_column, _, tag_columns = value.partition(":")
    try:
        numbers = [int(token_column), *(int(column) for column in tag_columns.split(",") if column)]
    except ValueError:
        numbers = [0]
    if 0 in numbers:
        raise click.BadParameter(
            f"{value!r} names no columns; give the token column and the tag columns, from 1, as in 1:4"
        )
    indices = [number - 1 if number > 0 else number for number in numbers]
    return ConllFormat(indices[0], tuple(indices[1:]))


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """The options of the command."""

    source_format: str | None
    target_format: str | None
    columns: ConllFormat | None
    spacing: Spacing
    discontinuous: Discontinuous
    text_key: str | None
    label_tag: str
    text_tag: str

    def read_options(self) -> ReadOptions:
        """Options for the readers."""
        return ReadOptions(self.columns, self.spacing, self.discontinuous, self.text_key)

    def write_options(self) -> WriteOptions:
        """Options for the writers."""
        return WriteOptions(self.label_tag, self.text_tag, self.text_key or "text")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.argument("output", metavar="OUT")
@click.option("--from", "source_format", type=click.Choice(READABLE), help="Format of IN. Default: detected.")
@click.option(
    "--to",
    "target_format",
    type=click.Choice(WRITABLE),
    help="Format of OUT. Default: by its file extension; JSON Lines for -.",
)
@click.option(
    "--columns", callback=_parse_columns, metavar="TOKEN:TAGS", help="CoNLL columns, counted from 1: 1:4 or 2:3,4."
)
@click.option(
    "--text",
    "spacing",
    type=click.Choice(["natural", "spaced"]),
    default="natural",
    show_default=True,
    help="How to join tokens into a text.",
)
@click.option(
    "--discontinuous",
    type=click.Choice(["error", "hull"]),
    default="error",
    show_default=True,
    help="What to do with mentions in several pieces, in brat and BioC.",
)
@click.option(
    "--text-key",
    metavar="KEY",
    help="Key of the text in the data of Label Studio, or column of the text in a table. Default: detected, or text.",
)
@click.option(
    "--label-tag", default="label", show_default=True, help="Name of the Labels tag of a project of Label Studio."
)
@click.option(
    "--text-tag", default="text", show_default=True, help="Name of the Text tag of a project of Label Studio."
)
@result_options
def convert(inputs: tuple[str, ...], output: str, **options: object) -> None:
    """Convert annotated documents between formats, to tables, or to texts without names.

    Each IN is a file or folder; OUT is a file, or a new folder for brat. Either may be - for a stream.
    """
    results, convert_options = parse_options(ResultOptions, options), parse_options(ConvertOptions, options)
    target = None if output == "-" else Path(output)
    target_format = results.format(target, convert_options.target_format)
    source_format = convert_options.source_format
    read_options, write_options = convert_options.read_options(), convert_options.write_options()
    if inputs == ("-",):
        documents = formats.read_stream(sys.stdin, "stdin", source_format, read_options)
    else:
        documents = formats.read([Path(path) for path in inputs], source_format, read_options)
    counter = _DocumentCounter(documents)
    converted = results.apply(counter, target, target_format)
    if target is None:
        formats.write_stream(converted, standard_output(), target_format or "jsonl", write_options)
    else:
        formats.write(converted, target, target_format, options=write_options)
    if results.redact and not counter.mention_count:
        warn("there is no mention in the documents, so nothing is replaced; `extract --redact` finds the names first")
    click.echo(
        f"{pluralize(counter.document_count, 'document')}, {pluralize(counter.mention_count, 'mention')}", err=True
    )


class _DocumentCounter:
    """Passes documents on, and counts them and their mentions."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = documents
        self.document_count = self.mention_count = 0

    def __iter__(self) -> Iterator[Document]:
        for document in self._documents:
            self.document_count += 1
            self.mention_count += len(document.mentions)
            yield document
