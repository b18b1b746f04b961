"""Turns the committed result into the table of docs/results.md.

    python -m benchmarks.reader.table [--check]

The result is made by `python -m tools.reader.evaluate` (see the README beside this file). Rows of the domains that were
held out of training and of the benchmark targets are written between `<!-- reader:begin -->` and its end. `--check`
changes nothing and fails if a page differs from the result; the tests run it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.reader import same_answer

RESULT = Path(__file__).parent / "results" / "zero-shot-released.json"
PARTS = {"benchmarks": "CrossNER and MIT", "held_out": "domains held out of training"}


def main() -> None:
    """Write the table, or check it."""
    fill_tables(_section, "benchmarks.reader.table")


def _section(name: str) -> Table | None:
    if name == "same_answer":
        return same_answer.table()
    return zero_shot(json.loads(RESULT.read_text(encoding="utf-8"))) if name == "reader" else None


def zero_shot(result: dict[str, Any]) -> Table:
    """One row per target, and one per part with the means."""
    rows = [["target", "sentences", "labels", "typed F1", "95 % interval", "span F1", "95 % interval"], ["---"] * 7]
    for part, heading in PARTS.items():
        for name, target in result[part].items():
            if isinstance(target, dict):
                rows.append([name, str(target["sentences"]), str(target["labels"])])
                for value, low, high in (target["typed"], target["spans"]):
                    rows[-1] += [f"{value:.3f}", f"{low:.3f} to {high:.3f}"]
        means = (result[part]["mean_typed"], result[part]["mean_spans"])
        rows.append([f"**mean, {heading}**", "", "", f"**{means[0]:.3f}**", "", f"**{means[1]:.3f}**", ""])
    return rows


if __name__ == "__main__":
    main()
