"""Turns the committed results into the tables and the plot of the pages in docs.

    python -m benchmarks.throughput.table [--check]

The plot needs matplotlib. `--check` changes nothing and fails where the page does not say what the results say.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.pages import Table, fill_tables
from benchmarks.throughput.expert import RESULT as EXPERT
from benchmarks.throughput.growth import VALUES
from benchmarks.throughput.instant import RESULT as INSTANT
from benchmarks.throughput.instant import median_ratio
from benchmarks.throughput.presets import PRESETS
from benchmarks.throughput.presets import RESULTS as PRESET_RESULTS
from benchmarks.throughput.revisions import RESULT as REVISIONS
from benchmarks.throughput.run import SETTINGS, results_file
from benchmarks.throughput.waiting import RESULTS as WAITING
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

RESULTS = Path(__file__).parent / "results"
PLOT = ROOT / "docs" / "images" / "growth.svg"


def main() -> None:
    """Write the tables and the plot, or check the tables."""
    sections = {
        **{"throughput": ways, "growth": growth, "expert": expert, "presets": presets, "revisions": revisions},
        **{"waiting": waiting, "instant": instant},
    }
    is_written = fill_tables(lambda name: sections[name]() if name in sections else None, "benchmarks.throughput.table")
    if is_written and (results := _growth_results()):
        plot(results)


def ways() -> Table | None:
    """A row for each way of evaluating the same requests."""
    way_names = {
        "ours": "entsemble",
        "plain": "plain EL4NER: every prompt afresh, one at a time",
        "ceiling": "the engine's ceiling",
    }
    results = [json.loads(path.read_text()) for name in SETTINGS if (path := results_file(name)).exists()]
    head = ["settings", "way", "s a sentence", "tokens evaluated a sentence", "peak memory, MB", "time, entsemble = 1"]
    table = [head, ["---"] * len(head)]
    for result in results:
        n, ours = result["sentences"], result["ways"]["ours"]["seconds"]
        for way, figures in result["ways"].items():
            row = [result["settings"], way_names[way], f"{figures['seconds'] / n:.2f}"]
            row.append(f"{(figures['evaluated'] + figures['generated']) / n:.0f}")
            table.append([*row, str(figures["peak_mb"]), f"{figures['seconds'] / ours:.2f}"])
    return table if results else None


def revisions() -> Table | None:
    """A row for each task that two revisions were measured at."""
    if not REVISIONS.exists():
        return None
    result = json.loads(REVISIONS.read_text())
    head = ["command", "revision", "s of the processor, each run", "s on the clock, each run", "newer / older, median"]
    table = [head, ["---"] * len(head)]
    for task, by_revision in result["runs"].items():
        for revision, runs in by_revision.items():
            if runs:
                name = f"{revision}, {result['revisions'][revision][:7]}"
                seconds = [", ".join(f"{run[kind]:.1f}" for run in runs) for kind in ("processor", "clock")]
                ratio = f"{result['newer / older, median'][task]['processor']:.2f}" if revision == "newer" else ""
                table.append([f"`{task}`", name, *seconds, ratio])
    return table


def instant() -> Table | None:
    """A row for each configuration without a language model."""
    if not INSTANT.exists():
        return None
    result = json.loads(INSTANT.read_text())
    names = {tree: f"{tree}, {revision[:7]}" for tree, revision in result["revisions"].items()}
    head = ["configuration", *(f"ms a document: {name}" for name in names.values())]
    table = [[*head, "newer / older", "documents by processor second"]]
    table.append(["---"] * len(table[0]))
    for configuration, by_tree in result["runs"].items():
        runs = [", ".join(f"{value:.1f}" for value in by_tree[tree]) for tree in names]
        rate = 1000 / statistics.median(by_tree["newer"])
        table.append([configuration, *runs, f"{median_ratio(by_tree):.2f}", f"{rate:.0f}"])
    return table


def waiting() -> Table | None:
    """A row for each engine, state of the cores and way in which threads wait for each other."""
    results = [json.loads(file.read_text()) for file in sorted(WAITING.glob("*.json"))]
    head = ["engine", "cores", "threads that wait", "s of the processor, each run", "s on the clock, each run"]
    head += ["load before", "spinning / sleeping, median: processor, clock"]
    table = [head, ["---"] * len(head)]
    for result in results:
        for cores, by_way in result["runs"].items():
            ratio = result["spinning / sleeping, median"][cores]
            for way, runs in by_way.items():
                columns = [", ".join(f"{run[kind]:.1f}" for run in runs) for kind in ("processor", "clock")]
                load = f"{min(run['load'] for run in runs):.0f} to {max(run['load'] for run in runs):.0f}"
                shown = f"{ratio['processor']:.1f}, {ratio['clock']:.1f}" if way == "spinning" else ""
                table.append([result["engine"], cores, way, *columns, load, shown])
    return table if results else None


def growth() -> Table | None:
    """A row for each setting."""
    results = _growth_results()
    head = ["what varies", "", "sentences", "s a sentence", "tokens evaluated a sentence"]
    table = [head, ["---"] * len(head)]
    for result in results:
        n = result["sentences"]
        cost = [f"{result['seconds'] / n:.2f}", f"{result['prompt_tokens_evaluated'] / n:.0f}"]
        table.append([result["what"], str(result["value"]), str(n), *cost])
    return table if results else None


def expert() -> Table | None:
    """A row for each engine that runs a single expert."""
    if not EXPERT.exists():
        return None
    measurement = json.loads(EXPERT.read_text())
    head = ["engine", "sentences", "s a sentence", "tokens read / written a sentence", "F1", "F1 against the first"]
    table = [head, ["---"] * len(head)]
    for engine, figures in measurement["engines"].items():
        tokens = f"{figures['prompt_tokens_evaluated_a_sentence']:.0f} / {figures['generated_tokens_a_sentence']:.1f}"
        row = [engine, str(measurement["sentences"]), f"{figures['seconds_a_sentence']:.2f}", tokens]
        table.append([*row, f"{figures['f1']:.3f}", f"{figures['f1_against_the_first_engine']:.3f}"])
    return table


def presets() -> Table | None:
    """A row for each preset: F1, the paired difference to the first, and cost."""
    results = [json.loads(path.read_text()) for name in PRESETS if (path := PRESET_RESULTS / f"{name}.json").exists()]
    head = ["preset", "sentences", "F1", "95 % interval", "difference to the first, 95 % interval, p"]
    head += ["s a sentence", "tokens evaluated a sentence", "s beforehand"]
    table = [head, ["---"] * len(head)]
    first = [Counts(*values) for values in results[0]["counts"]] if results else []
    for result in results:
        counts = [Counts(*values) for values in result["counts"]]
        n, (low, high) = len(counts), f1_interval(counts)
        row = [result["preset"], str(n), f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
        against = compare_f1(counts, first)
        ends = "{:+.3f} to {:+.3f}".format(*against.ci95)
        row.append(f"{against.difference:+.3f}, {ends}, {against.p_value:.3f}" if result is not results[0] else "")
        row += [f"{result['seconds'] / n:.2f}", f"{result['prompt_tokens_evaluated'] / n:.0f}"]
        table.append([*row, f"{result['preparation_seconds']:.0f}"])
    return table if results else None


def plot(results: Iterable[dict[str, Any]]) -> None:
    """Seconds per sentence by each factor."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "entsemble"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(1, len(VALUES), figsize=(3 * len(VALUES), 2.6), sharey=True, layout="constrained")
    for axis, what in zip(axes, VALUES, strict=True):
        points = [
            (result["value"], result["seconds"] / result["sentences"]) for result in results if result["what"] == what
        ]
        axis.plot(*zip(*points, strict=True), marker="o", color="tab:blue")
        axis.set_xlabel(what)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds a sentence")
    axes[0].set_ylim(bottom=0)  # of all, once all have drawn
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def _growth_results() -> list[dict[str, Any]]:
    results = [json.loads(path.read_text()) for path in RESULTS.glob("growth/*.json")]
    return sorted(results, key=lambda result: (list(VALUES).index(result["what"]), result["value"]))


if __name__ == "__main__":
    main()
