"""How the command line says things."""

from __future__ import annotations


def counted(count: int, what: str) -> str:
    """A count and what is counted.

    >>> counted(1, "document"), counted(1200, "document")
    ('1 document', '1,200 documents')
    """
    return f"{count:,} {what}" + ("" if count == 1 else "s")
