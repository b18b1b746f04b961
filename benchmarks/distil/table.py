"""Turns the committed results into the table of the pages in docs.

python -m benchmarks.distil.table [--check]
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.distil.run import CORPORA, RESULTS
from benchmarks.pages import Table, fill_tables
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

_NAMES = {
    "teacher": "teacher: instant",
    "tagger": "student: sequence tagger",
    "reader": "student: label reader",
    "crf": "CRF trained on the pool alone",
}


def main() -> None:
    """Write the table, or check it."""
    fill_tables(lambda name: students() if name == "distil" else None, "benchmarks.distil.table")


def students() -> Table | None:
    """A row for each system on each corpus."""
    header = ["corpus", "pool", "texts", "sentences", "system", "F1", "95 % interval", "share of the teacher's"]
    header += ["difference to the tagger, 95 % interval, p", "sentences by processor second"]
    table = [header, ["---"] * len(header)]
    for corpus in CORPORA:
        file = RESULTS / f"{corpus}.json"
        if file.exists():
            table += _rows(json.loads(file.read_text(encoding="utf-8")))
    return table if len(table) > 2 else None


def _rows(result: dict[str, Any]) -> Table:
    counts = {system: [Counts(*values) for values in of_sentences] for system, of_sentences in result["counts"].items()}
    f1 = {system: sum(of_sentences, Counts()).f1 for system, of_sentences in counts.items()}
    rows = []
    for system, name in _NAMES.items():
        low, high = f1_interval(counts[system])
        rate = result["rates"].get(system)
        row = [str(result["corpus"]), str(result["pool"]), f"{result['texts']:,}", str(len(counts[system])), name]
        row += [f"{f1[system]:.3f}", f"{low:.3f} to {high:.3f}", f"{f1[system] / f1['teacher']:.2f}"]
        against = compare_f1(counts[system], counts["tagger"])
        ends = "{:+.3f} to {:+.3f}".format(*against.ci95)
        difference = f"{against.difference:+.3f}, {ends}, {against.p_value:.3f}"
        rows.append([*row, "" if system == "tagger" else difference, "" if rate is None else f"{rate:,.0f}"])
    return rows


if __name__ == "__main__":
    main()
