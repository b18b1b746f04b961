"""Turns the committed result into the tables of docs/benchmarks/experts.md.

    python -m benchmarks.reader_experts.table [--check]

`systems`, `gains` (each system against the reader, and SaM against each system), `selected` and `own`, each between
`<!-- reader_experts:NAME:begin -->` and its end. `--check` changes nothing and fails if the page differs from the
result; the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.pages import Table, fill_tables
from benchmarks.reader_experts.systems import (
    ALL,
    DOMAIN,
    HALF,
    MEAN,
    NEAREST,
    OWN,
    READER,
    RESULT,
    SAMPLED,
    UNIFIED,
    UNION,
)
from benchmarks.sam.table import mean_f1
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

NAMES = {
    READER: "reader",
    UNIFIED: "unified",
    HALF: "mean of reader and unified",
    ALL: "all merged",
    NEAREST: "nearest alone",
    DOMAIN: "(i) domain",
    SAMPLED: "(ii) sampled",
    MEAN: "SaM",
    UNION: "SaM by union",
}


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.reader_experts.table")


def _section(name: str) -> Table | None:
    if not name.startswith("reader_experts:") or not RESULT.exists():
        return None
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    makers = {"systems": systems, "gains": gains, "selected": selected, "own": own}
    return makers[name.partition(":")[2]](result)


def systems(result: Mapping[str, Any]) -> Table:
    """A row for each target: typed F1 and that of the spans alone, for each system."""
    rows = [["target", "sentences", *NAMES.values(), "SaM's F1, 95 % interval"], ["---"] * (len(NAMES) + 3)]
    for name, target in result["targets"].items():
        low, high = f1_interval(_counts(target, MEAN))
        cells = [f"{_f1(target, system):.3f} / {_f1(target, system, 'spans'):.3f}" for system in NAMES]
        rows.append([name, str(len(_counts(target, MEAN))), *cells, f"{low:.3f} to {high:.3f}"])
    means = []
    for system in NAMES:
        values = [np.mean([_f1(t, system, kind) for t in result["targets"].values()]) for kind in ("typed", "spans")]
        means.append(" / ".join(f"{value:.3f}" for value in values))
    development = [f"{result['development'][system]:.3f}" for system in NAMES]
    return [*rows, ["**mean**", "", *means, ""], ["held-out domains, development", "", *development, ""]]


def gains(result: Mapping[str, Any]) -> Table:
    """A row for each comparison: the difference in the mean typed F1 over the targets, and in that of spans, paired.

    Sentences are drawn anew within each target, so the intervals are of these targets, not of others.
    """
    pairs = [(system, READER) for system in NAMES if system != READER]
    pairs += [(MEAN, other) for other in (UNIFIED, ALL, NEAREST, DOMAIN, SAMPLED)]
    rows = [["system", "against", "F1", "its F1", "difference", "95 % interval", "of spans", "95 % interval"]]
    rows.append(["---"] * len(rows[0]))
    for first, second in pairs:
        cells = [NAMES[first], NAMES[second]]
        for kind in ("typed", "spans"):
            both = [(_counts(t, first, kind), _counts(t, second, kind)) for t in result["targets"].values()]
            means = mean_f1(both)
            differences = means[:, 0] - means[:, 1]
            low, high = np.quantile(differences[1:], [0.025, 0.975])
            cells += [f"{means[0, 0]:.3f}", f"{means[0, 1]:.3f}"] if kind == "typed" else []
            cells += [f"{differences[0]:+.3f}", f"{low:+.3f} to {high:+.3f}"]
        rows.append(cells)
    return rows


def selected(result: Mapping[str, Any]) -> Table:
    """A row for each target: the experts that each view selected, with their weights."""
    rows = [["target", NAMES[DOMAIN], NAMES[SAMPLED]], ["---"] * 3]
    for name, target in result["targets"].items():
        views = [target["selected"][view] for view in (DOMAIN, SAMPLED)]
        rows.append([name, *(", ".join(f"{expert} {weight:.2f}" for expert, weight in view.items()) for view in views)])
    return rows


def own(result: Mapping[str, Any]) -> Table:
    """A row for each domain: its expert beside the reader and the unified model, on sentences that none saw."""
    rows = [["domain", "sentences", "reader", "unified", "its expert", "expert and reader", "95 % interval"]]
    rows.append(["---"] * len(rows[0]))
    for domain, by_system in result["own"].items():
        first, second = (_own_counts(by_system, system) for system in (OWN, READER))
        difference = compare_f1(first, second)
        cells = [f"{sum(_own_counts(by_system, system), Counts()).f1:.3f}" for system in (READER, UNIFIED, OWN)]
        low, high = difference.ci95
        rows.append([domain, str(len(first)), *cells, f"{difference.difference:+.3f}", f"{low:+.3f} to {high:+.3f}"])
    means = mean_f1([(_own_counts(s, OWN), _own_counts(s, READER)) for s in result["own"].values()])
    unified = np.mean([sum(_own_counts(s, UNIFIED), Counts()).f1 for s in result["own"].values()])
    low, high = np.quantile(means[1:, 0] - means[1:, 1], [0.025, 0.975])
    cells = [f"{means[0, 1]:.3f}", f"{unified:.3f}", f"{means[0, 0]:.3f}", f"{means[0, 0] - means[0, 1]:+.3f}"]
    return [*rows, ["**mean**", "", *cells, f"{low:+.3f} to {high:+.3f}"]]


def _own_counts(by_system: Mapping[str, Any], system: str) -> list[Counts]:
    return [Counts(*counts) for counts in by_system[system]["typed"]]


def _counts(target: Mapping[str, Any], system: str, kind: str = "typed") -> list[Counts]:
    return [Counts(*counts) for counts in target["systems"][system][kind]]


def _f1(target: Mapping[str, Any], system: str, kind: str = "typed") -> float:
    return sum(_counts(target, system, kind), Counts()).f1


if __name__ == "__main__":
    main()
