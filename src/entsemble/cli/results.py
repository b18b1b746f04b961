"""What commands write of their results: the mentions, a table of names, or the texts without the names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from entsemble.data.format_table import WRITABLE
from entsemble.data.formats import format_of_target
from entsemble.data.redaction import STYLES, Redactor, Style
from entsemble.types import Document

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--group",
        is_flag=True,
        help="Write a table of names instead of mentions: a row for each name, with its variants, labels and files. "
        "For .csv, .tsv and .xlsx.",
    ),
    click.option(
        "--redact",
        type=click.Choice(STYLES),
        help="Replace the names in the texts: by their label, [PERSON], or by a pseudonym, person-1, which stands for "
        "the same name throughout. Written as .txt, as a folder of texts, or in any other format.",
    ),
)


def result_options(command: Command) -> Command:
    """Add the options of `ResultOptions` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """What is written of the results."""

    group: bool
    redact: Style | None

    def format(self, output: Path | None, format_name: str | None) -> str | None:
        """The format to write, if these options decide it; otherwise the given one.

        Args:
            output: the file or folder; `None` for standard output.
            format_name: as the user named it.

        Raises:
            click.UsageError: the options contradict one another, or the format.
            ConfigError: the format is not known.
        """
        if self.group and self.redact:
            raise click.UsageError("--group lists the names that --redact removes; give one of them")
        if self.group:
            table = format_name or (format_of_target(output) if output else "csv")
            grouped = table if table.startswith("names-") else f"names-{table}"
            if grouped not in WRITABLE:
                raise click.UsageError(f"--group needs a table, and {table} is none; write .csv, .tsv or .xlsx")
            return grouped
        if self.redact and format_name is None and (output is None or not output.suffix):
            return "text"
        return format_name

    def apply(self, documents: Iterable[Document], output: Path | None, format_name: str | None) -> Iterator[Document]:
        """The documents to write; without mentions where they are replaced in plain texts, which hold none."""
        if self.redact is None:
            return iter(documents)
        redacted = Redactor(self.redact).redact(documents)
        is_text = (format_name or (format_of_target(output) if output else "jsonl")) == "text"
        return (replace(document, mentions=()) for document in redacted) if is_text else redacted
