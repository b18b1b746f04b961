"""Turns the committed result into the table of the pages in docs.

python -m benchmarks.server.table [--check]
"""

from __future__ import annotations

import json

from benchmarks.pages import Table, fill_tables
from benchmarks.server.load import RESULT


def main() -> None:
    """Write the table, or check it."""
    fill_tables(lambda name: load() if name == "server:load" else None, "benchmarks.server.table")


def load() -> Table:
    """A row an answer."""
    results = json.loads(RESULT.read_text(encoding="utf-8"))
    header = ["answer", "requests", "median s", "95th percentile s", "longest s"]
    table = [header, ["---"] * len(header)]
    refused = sorted(set(results["answers"]) - {"200"})
    for name, statuses, seconds in (
        ("done", ["200"], results["done, seconds"]),
        (f"refused: {', '.join(refused)}", refused, results["refused, seconds"]),
    ):
        count = sum(results["answers"][status] for status in statuses)
        table.append([name, str(count), *(f"{seconds[which]:.3g}" for which in ("median", "p95", "max"))])
    return table


if __name__ == "__main__":
    main()
