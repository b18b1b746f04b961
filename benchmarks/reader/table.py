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
from benchmarks.reader import same_answer, thresholds
from entsemble.evaluation.bootstrap import compare_f1
from entsemble.evaluation.counts import Counts

RESULT = Path(__file__).parent / "results" / "zero-shot-released.json"
DEFINITIONS = Path(__file__).parent / "results" / "definitions"
"""Results of `benchmarks.reader.definitions`."""

PUBLISHED = {
    "crossner-ai": (50.7, 51.8, 57.2, 53.5),
    "crossner-literature": (60.0, 59.7, 64.4, 59.4),
    "crossner-music": (60.9, 69.4, 69.6, 65.0),
    "crossner-politics": (61.5, 68.6, 72.6, 60.8),
    "crossner-science": (55.6, 58.1, 62.6, 61.1),
    "mit-movie": (46.9, 42.9, 57.2, 42.4),
    "mit-restaurant": (33.3, 37.3, 42.9, 31.7),
}
"""F1 in percent on whole test files, of `PUBLISHED_SYSTEMS` (U. Zaratiana et al., GLiNER, 2023, zero-shot results)."""

PUBLISHED_SYSTEMS = ("GLiNER-S", "GLiNER-M", "GLiNER-L", "UniversalNER-7B")

AS_IT_IS = "names alone"
PARTS = {"benchmarks": "CrossNER and MIT", "held_out": "domains held out of training"}


def main() -> None:
    """Write the table, or check it."""
    fill_tables(_section, "benchmarks.reader.table")


def _section(name: str) -> Table | None:
    if name == "same_answer":
        return same_answer.table()
    if name == "reader_definitions":
        return with_definitions()
    if name == "reader_thresholds":
        return thresholds.table()
    return zero_shot(json.loads(RESULT.read_text(encoding="utf-8"))) if name == "reader" else None


def zero_shot(result: dict[str, Any]) -> Table:
    """One row per target, and one per part with the means."""
    rows = [["target", "sentences", "labels", "typed F1", "95 % interval", "span F1", "95 % interval"]]
    rows[0] += ["processor s per sentence", *PUBLISHED_SYSTEMS]
    rows.append(["---"] * len(rows[0]))
    for part, heading in PARTS.items():
        for name, target in result[part].items():
            if isinstance(target, dict):
                rows.append([name, str(target["sentences"]), str(target["labels"])])
                for value, low, high in (target["typed"], target["spans"]):
                    rows[-1] += [f"{value:.3f}", f"{low:.3f} to {high:.3f}"]
                rows[-1] += [f"{target['processor_seconds_per_sentence']:.3f}"]
                rows[-1] += [f"{percent / 100:.3f}" for percent in PUBLISHED.get(name, ())]
        means = (result[part]["mean_typed"], result[part]["mean_spans"])
        rows.append([f"**mean, {heading}**", "", "", f"**{means[0]:.3f}**", "", f"**{means[1]:.3f}**", "", ""])
        if part == "benchmarks":
            columns = zip(*(PUBLISHED[name] for name in result[part] if name in PUBLISHED), strict=True)
            rows[-1] += [f"{sum(column) / len(column) / 100:.3f}" for column in columns]
    return [row + [""] * (len(rows[0]) - len(row)) for row in rows]


def with_definitions() -> Table | None:
    """A row for each target and condition: the difference that it makes, paired."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(DEFINITIONS.glob("*.json"))]
    if not results:
        return None
    rows = [["target", "sentences", "labels", "defined", AS_IT_IS, "with", "F1", "difference", "95 % interval", "p"]]
    rows.append(["---"] * len(rows[0]))
    for result in results:
        usual = [Counts(*counts) for counts in result["counts"][AS_IT_IS]["typed"]]
        for name, by_kind in result["counts"].items():
            if name != AS_IT_IS:
                changed = [Counts(*counts) for counts in by_kind["typed"]]
                difference = compare_f1(changed, usual)
                defined = "" if name == "counter-examples" else str(result["defined"])
                cells = [result["target"], str(len(usual)), str(result["labels"]), defined]
                cells += [f"{sum(usual, Counts()).f1:.3f}", name, f"{sum(changed, Counts()).f1:.3f}"]
                cells += [f"{difference.difference:+.3f}", "{:+.3f} to {:+.3f}".format(*difference.ci95)]
                rows.append([*cells, f"{difference.p_value:.3f}"])
    return rows


if __name__ == "__main__":
    main()
