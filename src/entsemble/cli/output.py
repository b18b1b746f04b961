"""Standard output, and tables on it."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click
from rich.cells import cell_len

from entsemble._lib.text import message_line
from entsemble.errors import DataError


def print_columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of any number of rows; the last column is wrapped at the width of the terminal."""
    cells = [[message_line(cell) for cell in row] for row in (headers, *rows)]
    *widths, _ = [max(map(cell_len, column)) + 2 for column in zip(*cells, strict=True)]
    indent = sum(widths)
    last_width = max(20, shutil.get_terminal_size().columns - indent)
    for *first_cells, last_cell in cells:
        first_line = "".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(first_cells, widths, strict=True)
        )
        lines = textwrap.wrap(last_cell, last_width)
        click.echo(("\n" + " " * indent).join([first_line + (lines[0] if lines else ""), *lines[1:]]).rstrip())


def standard_output() -> TextIO:
    """Standard output for documents: UTF-8 whatever the terminal's encoding, like the files that are written.

    Raises:
        DataError: it is closed.
    """
    if sys.stdout is None:
        raise DataError("standard output is closed; name a file for the documents")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    return sys.stdout


def check_writable(*paths: Path | None) -> None:
    """Check, before any work is done, that the folders of these files exist; `-` is standard output.

    Raises:
        DataError: a folder does not exist.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.parent.is_dir():
            raise DataError("its folder does not exist; create it first", path)
