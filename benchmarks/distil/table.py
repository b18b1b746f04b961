"""Turns the committed result into the table of the pages in docs.

python -m benchmarks.distil.table [--check]
"""

from __future__ import annotations

import json

from benchmarks.distil.run import RESULT
from benchmarks.pages import Table, fill_tables


def main() -> None:
    """Write the table, or check it."""
    fill_tables(lambda name: beside() if name == "distil" else None, "benchmarks.distil.table")


def beside() -> Table | None:
    """The teacher and the student."""
    if not RESULT.exists():
        return None
    results = json.loads(RESULT.read_text(encoding="utf-8"))
    header = ["", "F1", "95 % interval", "precision", "recall", "sentences a second"]
    table = [header, ["---"] * len(header)]
    for name in ("teacher", "student"):
        score = results[name]
        rate = results[f"{name}_rate"]
        ends = "{:.3f} to {:.3f}".format(*score["f1_ci95"])
        scores = [f"{score['f1']:.3f}", ends, f"{score['precision']:.3f}", f"{score['recall']:.3f}"]
        table.append([name, *scores, "" if rate is None else f"{rate:,.2g}" if rate < 100 else f"{rate:,.0f}"])
    return table


if __name__ == "__main__":
    main()
