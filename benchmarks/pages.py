"""Writes tables of results into pages, between `<!-- name:begin -->` and `<!-- name:end -->`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from benchmarks.common import ROOT

Table = list[list[str]]

DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    DOCS / "results.md",
    DOCS / "explanation" / "security.md",
    *sorted((DOCS / "benchmarks").glob("*.md")),
)

_SECTION = re.compile(r"(?<=<!-- )(?P<name>[\w:-]+):begin -->\n.*?(?=<!-- (?P=name):end -->)", re.DOTALL)


def to_markdown(table: Table) -> str:
    """The rows of a table in Markdown."""
    return "".join("| " + " | ".join(row) + " |\n" for row in table)


def fill_tables(section: Callable[[str], Table | None], module: str) -> bool:
    """The command line of a module of tables: write the sections for which `section` has a table.

    With `--check`, no page is changed, and outdated pages are an error.

    Args:
        section: section name -> its table; `None` leaves the section unchanged.
        module: the module that makes the tables, for the error message.

    Returns:
        Whether the pages were written rather than checked.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check_only = parser.parse_args().check

    def updated_section(match: re.Match[str]) -> str:
        name, table = match["name"], section(match["name"])
        return match[0] if table is None else f"{name}:begin -->\n\n{to_markdown(table)}\n"

    outdated_pages = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        updated_text = _SECTION.sub(updated_section, text)
        if updated_text != text:
            outdated_pages.append(page.name)
            if not check_only:
                page.write_text(updated_text, encoding="utf-8")
    if check_only and outdated_pages:
        sys.exit(f"these pages differ from the results: {', '.join(outdated_pages)}; run: python -m {module}")
    return not check_only
