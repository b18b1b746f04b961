"""Draws the committed results for the pages in docs; needs matplotlib.

    python -m benchmarks.quality.plots

`docs/images/calibration.svg`: how far the default's scores are true, and what share of the mentions is wrong where only
the surest are kept, from `results/*.json`. `docs/images/curve.svg`: F1 by the size of the pool, beside the best member,
from `results/curve`, with bootstrap intervals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import matplotlib as mpl

from benchmarks.common import ROOT
from benchmarks.quality.corpora import CORPORA
from benchmarks.quality.run import RESULTS
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.counts import Counts

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "entsemble"
from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen

IMAGES = ROOT / "docs" / "images"
FEWEST = 5
"""Mentions that a point of the reliability diagram stands for at least."""


def main() -> None:
    """Draw both."""
    calibration([json.loads(path.read_text()) for c in CORPORA if (path := RESULTS / f"{c.name}.json").exists()])
    if found := [json.loads(path.read_text()) for path in RESULTS.glob("curve/*/*.json")]:
        curve(found)


def calibration(results: list[dict[str, Any]]) -> None:
    """The reliability diagram, and risk by coverage at every tenth of the score."""
    figure, (true, risk) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    true.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for result in results:
        bins = [b for b in result["report"]["reliability"]["bins"] if b["count"]]
        dots = [(b["confidence"], b["accuracy"]) for b in bins if b["count"] >= FEWEST]
        [line] = true.plot(*zip(*dots, strict=True), marker="o", label=result["corpus"])
        risk.plot(*zip(*_risks(bins), strict=True), marker="o", color=line.get_color())
    true.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    risk.set(xlabel="share of the mentions kept, surest first", ylabel="share of them that is wrong", xlim=(0, 1))
    risk.set_ylim(bottom=0)
    figure.legend(loc="outside right")
    _save(figure, "calibration.svg")


def _risks(bins: list[dict[str, Any]]) -> Iterator[tuple[float, float]]:
    """Coverage and risk with the surest bin, the two surest, and so on."""
    surest = bins[::-1]
    kept = [*accumulate(b["count"] for b in surest)]
    wrong = accumulate(b["count"] * (1 - b["accuracy"]) for b in surest)
    return ((k / kept[-1], w / k) for k, w in zip(kept, wrong, strict=True))


def curve(results: list[dict[str, Any]]) -> None:
    """A panel a corpus."""
    corpora = sorted({r["corpus"] for r in results})
    figure, panels = plt.subplots(
        1, len(corpora), figsize=(1 + 4 * len(corpora), 3.5), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, corpus in zip(panels[0], corpora, strict=True):
        found = sorted((r for r in results if r["corpus"] == corpus), key=lambda r: int(r["pool"]))
        sizes = [r["pool"] for r in found]
        for label, every in (("ensemble", [r["counts"] for r in found]), ("best member", [*map(_best, found)])):
            counts = [[Counts(*one) for one in told] for told in every]
            f1 = [sum(told, Counts()).f1 for told in counts]
            ends = [f1_interval(told) for told in counts]
            bars = [[f - low for f, (low, _) in zip(f1, ends, strict=True)]]
            bars += [[high - f for f, (_, high) in zip(f1, ends, strict=True)]]
            panel.errorbar(sizes, f1, yerr=bars, marker="o", capsize=3, label=label)
        panel.set(title=corpus, xlabel="sentences in the pool", xscale="log", xticks=sizes, xticklabels=map(str, sizes))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("F1")
    panels[0][0].set_ylim(bottom=0)
    panels[0][0].legend()
    _save(figure, "curve.svg")


def _best(result: dict[str, Any]) -> list[list[int]]:
    told: dict[str, list[list[int]]] = result["members"]
    return max(told.values(), key=lambda counts: sum((Counts(*one) for one in counts), Counts()).f1)


def _save(figure: Any, name: str) -> None:  # noqa: ANN401 - untyped library
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / name, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
