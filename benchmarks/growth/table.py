"""Turns the committed results into the table of the method page.

python -m benchmarks.growth.table [--check]
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.growth.run import LABELLED_DOCUMENTS, RESULTS
from benchmarks.pages import Table, fill_tables

COMMANDS = {
    "score-documents": "`score`, documents",
    "score-page": "`score --html`, documents",
    "score-labels": f"`score`, labels of {LABELLED_DOCUMENTS:,} documents",
    "pool": "a pool computed and searched, sentences",
    "experts": "`experts list`, experts",
}


def main() -> None:
    """Write the table, or check it."""
    fill_tables(lambda name: sizes() if name == "sizes" else None, "benchmarks.growth.table")


def sizes() -> Table | None:
    """A row for each command and size; `None` without results."""
    rows = [
        [description, f"{row['size']:,}", f"{row['cpu_seconds']:.1f}", f"{row['seconds']:.1f}", str(row["peak_mb"])]
        for name, description in COMMANDS.items()
        for row in _rows(RESULTS / f"{name}.json")
    ]
    header = ["what grows", "to", "processor, s", "clock, s", "peak memory, MB"]
    return [header, ["---"] * len(header), *rows] if rows else None


def _rows(file: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    return rows


if __name__ == "__main__":
    main()
