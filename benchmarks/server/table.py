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
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    head = ["answer", "requests", "median s", "95th percentile s", "longest s"]
    table = [head, ["---"] * len(head)]
    refused = sorted(set(found["answers"]) - {"200"})
    for name, statuses, seconds in (
        ("done", ["200"], found["done, seconds"]),
        (f"refused: {', '.join(refused)}", refused, found["refused, seconds"]),
    ):
        count = sum(found["answers"][status] for status in statuses)
        table.append([name, str(count), *(f"{seconds[which]:.3g}" for which in ("median", "p95", "max"))])
    return table


if __name__ == "__main__":
    main()
