"""Tables of results within pages, between `<!-- name:begin -->` and `<!-- name:end -->`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from benchmarks.common import ROOT

Table = list[list[str]]

PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md", *sorted((ROOT / "docs" / "benchmarks").glob("*.md")))

_BETWEEN = re.compile(r"(?<=<!-- )(?P<name>[\w:-]+):begin -->\n.*?(?=<!-- (?P=name):end -->)", re.DOTALL)


def rows(table: Table) -> str:
    """The table as Markdown."""
    return "".join("| " + " | ".join(row) + " |\n" for row in table)


def fill(section: Callable[[str], Table | None], module: str) -> bool:
    """The command line of a module of tables: write the sections that `section` knows.

    With `--check`, change nothing, and exit with an error where a page says otherwise.

    Args:
        section: a section's name -> its table; `None` leaves the section as it is.
        module: what makes the tables, for the error.

    Returns:
        Whether things were written, not checked.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check

    def fresh(match: re.Match[str]) -> str:
        table = section(match["name"])
        return match[0] if table is None else f"{match['name']}:begin -->\n\n{rows(table)}\n"

    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (now := _BETWEEN.sub(fresh, text)) != text:
            stale.append(page.name)
            if not check:
                page.write_text(now, encoding="utf-8")
    if check and stale:
        sys.exit(f"not what the results say: {', '.join(stale)}; run: python -m {module}")
    return not check
