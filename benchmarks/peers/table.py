"""Turns the committed results into the tables of docs/benchmarks.md.

    python -m benchmarks.peers.table [--check]

A table a corpus, between `<!-- peers:conll2003:begin -->` and its end. `--check` changes nothing and fails where a page
does not say what the results say; the tests run it.
"""

from __future__ import annotations

import json

from benchmarks.pages import Table, fill
from benchmarks.peers.run import RESULTS
from entsemble.evaluation.bootstrap import compare, interval
from entsemble.evaluation.counts import Counts


def main() -> None:
    """Write the tables, or check them."""
    fill(_section, "benchmarks.peers.table")


def _section(name: str) -> Table | None:
    kind, _, corpus = name.partition(":")
    path = RESULTS / f"{corpus}.json"
    return table(path.read_text(encoding="utf-8")) if kind == "peers" and path.exists() else None


def table(result: str) -> Table:
    """A row a system: F1, how much it lacks to the first, and what it costs.

    Args:
        result: JSON, as `run.measure` gives it.
    """
    told = json.loads(result)
    head = ["system", "F1", "95 % interval", "difference to the first", "95 % interval", "p"]
    rows = [
        [*head, "s beforehand", "s a sentence", "tokens evaluated + written a sentence", "sentences without an answer"]
    ]
    rows.append(["---"] * len(rows[0]))
    first: list[Counts] | None = None
    for name, ran in told["systems"].items():
        counts = [Counts(*one) for one in ran["counts"]]
        row = [name, f"{sum(counts, Counts()).f1:.3f}", "{:.3f} to {:.3f}".format(*interval(counts)), "", "", ""]
        if first is None:
            first = counts
        else:
            against = compare(counts, first)
            ends = "{:+.3f} to {:+.3f}".format(*against.ci95)
            row[3:] = [f"{against.difference:+.3f}", ends, f"{against.p_value:.3f}"]
        n = len(counts)
        tokens = f"{ran['evaluated'] / n:.0f} + {ran['generated'] / n:.0f}" if "evaluated" in ran else ""
        once = f"{ran['preparation_seconds']:.0f}" if "preparation_seconds" in ran else ""
        rows.append([*row, once, f"{ran['seconds'] / n:.2f}", tokens, str(len(ran["failed"]))])
    return rows


if __name__ == "__main__":
    main()
