"""Draws the stored results for the documentation; needs matplotlib.

    python -m benchmarks.quality.plots

`docs/images/calibration.svg` has the reliability diagram of the default's scores, and the share of wrong mentions by
coverage, from `results/*.json`. `docs/images/curve.svg` has F1 by the size of the pool, for the ensemble and its best
member, with bootstrap intervals, from `results/curve`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import matplotlib as mpl

from benchmarks.common import ROOT
from benchmarks.quality.corpora import CORPORA
from benchmarks.quality.differences import parse_counts
from benchmarks.quality.run import RESULTS
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.counts import Counts

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "entsemble"
from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen

IMAGES = ROOT / "docs" / "images"
MIN_MENTIONS = 5
"""Mentions of a bin that is drawn in the reliability diagram."""


def main() -> None:
    """Draw both images."""
    files = [RESULTS / f"{corpus.name}.json" for corpus in CORPORA]
    plot_calibration([json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()])
    if curves := [json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("curve/*/*.json")]:
        plot_curve(curves)


def plot_calibration(results: Sequence[dict[str, Any]]) -> None:
    """The reliability diagram, and risk by coverage at every tenth of the score."""
    figure, (reliability, risk) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    reliability.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for result in results:
        bins = [scores for scores in result["report"]["reliability"]["bins"] if scores["count"]]
        points = [(scores["confidence"], scores["accuracy"]) for scores in bins if scores["count"] >= MIN_MENTIONS]
        [line] = reliability.plot(*zip(*points, strict=True), marker="o", label=result["corpus"])
        risk.plot(*zip(*_risks(bins), strict=True), marker="o", color=line.get_color())
    reliability.set(xlabel="score", ylabel="share of correct mentions", xlim=(0, 1), ylim=(0, 1))
    risk.set(xlabel="coverage: share of the mentions, highest scores first", ylabel="share of wrong mentions")
    risk.set(xlim=(0, 1))
    risk.set_ylim(bottom=0)
    figure.legend(loc="outside right center")
    _save(figure, "calibration.svg")


def _risks(bins: Sequence[dict[str, Any]]) -> Iterator[tuple[float, float]]:
    """Coverage and risk with the highest bin, the two highest, and so on."""
    highest_first = bins[::-1]
    covered = [*accumulate(scores["count"] for scores in highest_first)]
    wrong = accumulate(scores["count"] * (1 - scores["accuracy"]) for scores in highest_first)
    return ((count / covered[-1], errors / count) for count, errors in zip(covered, wrong, strict=True))


def plot_curve(results: Sequence[dict[str, Any]]) -> None:
    """F1 by the size of the pool, with a panel for each corpus."""
    corpora = sorted({result["corpus"] for result in results})
    figure, panels = plt.subplots(
        1, len(corpora), figsize=(1 + 4 * len(corpora), 3.5), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, corpus in zip(panels[0], corpora, strict=True):
        by_size = sorted(
            (result for result in results if result["corpus"] == corpus), key=lambda result: int(result["pool"])
        )
        sizes = [result["pool"] for result in by_size]
        _plot_line(panel, "ensemble", sizes, [parse_counts(result["counts"]) for result in by_size])
        _plot_line(panel, "best member", sizes, [_best_member_counts(result) for result in by_size])
        panel.set(title=corpus, xlabel="sentences in the pool", xscale="log", xticks=sizes, xticklabels=map(str, sizes))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("F1")
    panels[0][0].set_ylim(bottom=0)
    panels[0][0].legend()
    _save(figure, "curve.svg")


def _plot_line(panel: Any, label: str, sizes: Sequence[int], counts_by_size: Sequence[list[Counts]]) -> None:  # noqa: ANN401 - untyped library
    scores = [sum(counts, Counts()).f1 for counts in counts_by_size]
    intervals = [f1_interval(counts) for counts in counts_by_size]
    below = [score - low for score, (low, _) in zip(scores, intervals, strict=True)]
    above = [high - score for score, (_, high) in zip(scores, intervals, strict=True)]
    panel.errorbar(sizes, scores, yerr=[below, above], marker="o", capsize=3, label=label)


def _best_member_counts(result: dict[str, Any]) -> list[Counts]:
    return max(
        (parse_counts(counts) for counts in result["members"].values()), key=lambda counts: sum(counts, Counts()).f1
    )


def _save(figure: Any, name: str) -> None:  # noqa: ANN401 - untyped library
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / name, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
