"""How the command line says things."""

from __future__ import annotations

import io
import sys
from typing import TextIO


def counted(count: int, what: str) -> str:
    """A count and what is counted.

    >>> counted(1, "document"), counted(1200, "document")
    ('1 document', '1,200 documents')
    """
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def standard_output() -> TextIO:
    """Standard output for documents, written as files are: in UTF-8, whatever the terminal's encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    return sys.stdout
