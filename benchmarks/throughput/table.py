"""Turns the committed results into the tables and the plot of the pages in docs.

    python -m benchmarks.throughput.table [--check]

The plot needs matplotlib. `--check` changes nothing and fails where the page does not say what the results say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.pages import Table, fill_tables
from benchmarks.throughput.expert import RESULT as EXPERT
from benchmarks.throughput.growth import VALUES
from benchmarks.throughput.presets import PRESETS
from benchmarks.throughput.presets import RESULTS as PRESET_RESULTS
from benchmarks.throughput.run import SETTINGS, results
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

RESULTS = Path(__file__).parent / "results"
PLOT = ROOT / "docs" / "images" / "growth.svg"


def main() -> None:
    """Write the tables and the plot, or check the tables."""
    sections = {"throughput": ways, "growth": growth, "expert": expert, "presets": presets}
    wrote = fill_tables(lambda name: sections[name]() if name in sections else None, "benchmarks.throughput.table")
    if wrote and (found := _grown()):
        plot(found)


def ways() -> Table | None:
    """A row a way of evaluating the same requests."""
    told = {
        "ours": "entsemble",
        "plain": "plain EL4NER: every prompt afresh, one at a time",
        "ceiling": "the engine's ceiling",
    }
    found = [json.loads(path.read_text()) for name in SETTINGS if (path := results(name)).exists()]
    head = ["settings", "way", "s a sentence", "tokens evaluated a sentence", "peak memory, MB", "time, entsemble = 1"]
    table = [head, ["---"] * len(head)]
    for one in found:
        n, ours = one["sentences"], one["ways"]["ours"]["seconds"]
        for way, figures in one["ways"].items():
            row = [one["settings"], told[way], f"{figures['seconds'] / n:.2f}"]
            row.append(f"{(figures['evaluated'] + figures['generated']) / n:.0f}")
            table.append([*row, str(figures["peak_mb"]), f"{figures['seconds'] / ours:.2f}"])
    return table if found else None


def growth() -> Table | None:
    """A row a setting."""
    found = _grown()
    head = ["what varies", "", "sentences", "s a sentence", "tokens evaluated a sentence"]
    table = [head, ["---"] * len(head)]
    for r in found:
        n = r["sentences"]
        cost = [f"{r['seconds'] / n:.2f}", f"{r['prompt_tokens_evaluated'] / n:.0f}"]
        table.append([r["what"], str(r["value"]), str(n), *cost])
    return table if found else None


def expert() -> Table | None:
    """A row an engine that answers for one expert alone."""
    if not EXPERT.exists():
        return None
    told = json.loads(EXPERT.read_text())
    head = ["engine", "sentences", "s a sentence", "tokens read / written a sentence", "F1", "F1 against the first"]
    table = [head, ["---"] * len(head)]
    for engine, ran in told["engines"].items():
        tokens = f"{ran['prompt_tokens_evaluated_a_sentence']:.0f} / {ran['generated_tokens_a_sentence']:.1f}"
        row = [engine, str(told["sentences"]), f"{ran['seconds_a_sentence']:.2f}", tokens]
        table.append([*row, f"{ran['f1']:.3f}", f"{ran['f1_against_the_first_engine']:.3f}"])
    return table


def presets() -> Table | None:
    """A row a preset: what it finds, the difference to the first, paired, and what it costs."""
    found = [json.loads(path.read_text()) for name in PRESETS if (path := PRESET_RESULTS / f"{name}.json").exists()]
    head = ["preset", "sentences", "F1", "95 % interval", "difference to the first, 95 % interval, p"]
    head += ["s a sentence", "tokens evaluated a sentence", "s beforehand"]
    table = [head, ["---"] * len(head)]
    first = [Counts(*one) for one in found[0]["counts"]] if found else []
    for told in found:
        counts = [Counts(*one) for one in told["counts"]]
        n, (low, high) = len(counts), f1_interval(counts)
        row = [told["preset"], str(n), f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
        against = compare_f1(counts, first)
        ends = "{:+.3f} to {:+.3f}".format(*against.ci95)
        row.append(f"{against.difference:+.3f}, {ends}, {against.p_value:.3f}" if told is not found[0] else "")
        row += [f"{told['seconds'] / n:.2f}", f"{told['prompt_tokens_evaluated'] / n:.0f}"]
        table.append([*row, f"{told['preparation_seconds']:.0f}"])
    return table if found else None


def plot(found: Iterable[dict[str, Any]]) -> None:
    """Seconds a sentence by each thing that varies."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "entsemble"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(1, len(VALUES), figsize=(3 * len(VALUES), 2.6), sharey=True, layout="constrained")
    for axis, what in zip(axes, VALUES, strict=True):
        points = [(r["value"], r["seconds"] / r["sentences"]) for r in found if r["what"] == what]
        axis.plot(*zip(*points, strict=True), marker="o", color="tab:blue")
        axis.set_xlabel(what)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds a sentence")
    axes[0].set_ylim(bottom=0)  # of all, once all have drawn
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def _grown() -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in RESULTS.glob("growth/*.json")]
    return sorted(found, key=lambda r: (list(VALUES).index(r["what"]), r["value"]))


if __name__ == "__main__":
    main()
