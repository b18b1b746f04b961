"""Turns the committed results into the tables of the pages in docs.

python -m benchmarks.server.table [--check]
"""

from __future__ import annotations

import json
import statistics
from operator import eq
from pathlib import Path
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.server.answers import FIRST, RESULTS
from benchmarks.server.leaving import RESULTS as LEAVING_RESULTS
from benchmarks.server.load import RESULT
from benchmarks.server.prompts import RESULT as PROMPTS
from benchmarks.server.soak import RESULTS as SOAK_RESULTS
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

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
    sections = {
        "server:load": load,
        "server:soak": soak,
        "server:leaving": leaving,
        "server:answers": answers,
        "server:prompts": prompts,
    }
    fill_tables(lambda name: sections[name]() if name in sections else None, "benchmarks.server.table")


def answers() -> Table | None:
    """A row for each server: what the probe says, and how its answers differ from those of the first."""
    results = [_read(file) for file in sorted(RESULTS.glob("*.json"))]
    if not results:
        return None
    header = ["server", "what the probe says", "mentions", "sentences with the same spans", "with the same mentions"]
    table = [header, ["---"] * len(header)]
    for result in sorted(results, key=lambda result: (result["one free answer"], result["server"] != FIRST)):
        alike = (other for other in results if other["one free answer"] == result["one free answer"])
        first = next(other for other in alike if other["server"] == FIRST)
        same = [
            "" if result is first else f"{sum(map(eq, result[key], first[key]))} of {len(first[key])}"
            for key in ("listed", "mentions")
        ]
        table.append([result["server"], result["probe"], str(sum(map(len, result["mentions"]))), *same])
    return table


def prompts() -> Table | None:
    """A row for each way of putting prompts to the server: F1, and the paired difference to the first."""
    if not PROMPTS.exists():
        return None
    header = ["prompts", "what the probe says", "sentences", "F1", "95 % interval", "difference, 95 % interval, p"]
    table, first = [header, ["---"] * len(header)], None
    for api, result in _read(PROMPTS)["ways"].items():
        counts = [Counts(*values) for values in result["counts"]]
        low, high = f1_interval(counts)
        difference = ""
        if first is not None:
            compared = compare_f1(counts, first)
            ends = "{:+.3f} to {:+.3f}".format(*compared.ci95)
            difference = f"{compared.difference:+.3f}, {ends}, {compared.p_value:.3f}"
        first = first or counts
        f1 = f"{sum(counts, Counts()).f1:.3f}"
        table.append([f'`"{api}"`', result["probe"], str(len(counts)), f1, f"{low:.3f} to {high:.3f}", difference])
    return table


def _read(file: Path) -> Any:  # noqa: ANN401 - parsed JSON
    return json.loads(file.read_text(encoding="utf-8"))


def load() -> Table:
    """A row an answer."""
    results = _read(RESULT)
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


def leaving() -> Table | None:
    """A row for each Python and kind of answer: seconds until the work ends whose client has left."""
    header = ["Python", "answer", "departures", "median s", "longest s"]
    table = [header, ["---"] * len(header)]
    results = sorted(map(_read, LEAVING_RESULTS.glob("*.json")), key=lambda result: int(result["python"].split(".")[1]))
    for result in results:
        for answer, seconds in result["seconds"].items():
            figures = f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}"
            table.append([result["python"], answer, str(len(seconds)), *figures])
    return table if results else None


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
