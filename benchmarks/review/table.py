"""Turns the committed results into the table of docs/results.md.

    python -m benchmarks.review.table [--check]

- `review:corrections`: F1 by the number of corrected sentences, for each domain and for all, with the difference from 0
- `review:walk`: keys and seconds of a correction with the keyboard alone, on this page and on the one before it

It stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. `--check` changes nothing and fails if a page differs
from the results; the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.review.run import SIZES, result_file
from benchmarks.review.texts import LABELS
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

WALK = Path(__file__).with_name("results") / "walk.json"


def main() -> None:
    """Write the table, or check it."""
    fill_tables(_section, "benchmarks.review.table")


def _section(name: str) -> Table | None:
    if name == "review:walk":
        return walks(json.loads(WALK.read_text(encoding="utf-8")))
    if name != "review:corrections":
        return None
    return corrections({domain: {size: _load(domain, size) for size in SIZES} for domain in LABELS})


def _load(domain: str, size: int) -> list[list[int]]:
    rows: list[list[int]] = json.loads(result_file(domain, size).read_text(encoding="utf-8"))["counts"]
    return rows


def walks(result: Mapping[str, Any]) -> Table:
    """One row per page.

    Args:
        result: of `benchmarks.review.walk`.
    """
    count = result["corrections"]
    rows = [["page", "keys a correction", "seconds a correction (median)", "least to most"], ["---"] * 4]
    for page, name in (("new", "`review`"), ("old", "the one before")):
        seconds = [value / count for value in result["seconds"][page]]
        interval = f"{min(seconds):.3f} to {max(seconds):.3f}"
        rows.append([name, f"{result['keys'][page] / count:.1f}", f"{median(seconds):.3f}", interval])
    return rows


def corrections(counts: Mapping[str, Mapping[int, Sequence[Sequence[int]]]]) -> Table:
    """One row per number of corrected sentences.

    Args:
        counts: domain -> number of corrected sentences -> counts of each sentence.
    """
    rows = [["corrected sentences", *counts, "all", "95 % interval", "more than with none", "95 % interval", "p"]]
    rows.append(["---"] * len(rows[0]))
    for size in SIZES:
        by_domain = [[Counts(*row) for row in sizes[size]] for sizes in counts.values()]
        everything = [row for domain in by_domain for row in domain]
        row = [str(size), *(_f1(domain) for domain in by_domain), _f1(everything)]
        row.append("{:.3f} to {:.3f}".format(*f1_interval(everything)))
        if size == 0:
            row += ["", "", ""]
        else:
            none = [Counts(*row) for sizes in counts.values() for row in sizes[0]]
            comparison = compare_f1(everything, none)
            low, high = comparison.ci95
            row += [f"{comparison.difference:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{comparison.p_value:.3f}"]
        rows.append(row)
    return rows


def _f1(counts: Sequence[Counts]) -> str:
    return f"{sum(counts, Counts()).f1:.3f}"


if __name__ == "__main__":
    main()
