"""Turns the committed results into the tables of the pages in docs.

python -m benchmarks.server.table [--check]
"""

from __future__ import annotations

import json

from benchmarks.pages import Table, fill_tables
from benchmarks.server.load import RESULT
from benchmarks.server.soak import RESULTS as SOAK_RESULTS

_SOAK_FIGURES = (
    "seconds",
    "clients",
    "kills",
    "extractions",
    "wrong answers",
    "confirmed texts of the pool",
    "lost texts of the pool",
    "p50 s",
    "p99 s",
    "longest stop after SIGTERM, s",
)


def main() -> None:
    """Write the tables, or check them."""
    tables = {"server:load": load, "server:soak": soak}
    fill_tables(lambda name: tables[name]() if name in tables else None, "benchmarks.server.table")


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


def soak() -> Table | None:
    """A column for each run, the longest first; `None` without results."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in SOAK_RESULTS.glob("*.json")]
    results.sort(key=lambda result: -result["seconds"])
    rows = [
        ["revision", *(result["commit"][:7] for result in results)],
        *([name, *(f"{result[name]:,g}" for result in results)] for name in _SOAK_FIGURES),
        ["requests", *(f"{sum(result['outcomes'].values()):,}" for result in results)],
        *(
            [f"{name}: first, last, maximum", *(", ".join(map(str, result[name].values())) for result in results)]
            for name in ("memory MB", "open files", "threads")
        ),
    ]
    return [rows[0], ["---"] * len(rows[0]), *rows[1:]] if results else None


if __name__ == "__main__":
    main()
