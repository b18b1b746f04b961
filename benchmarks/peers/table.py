"""Turns the committed results into the tables of the pages in docs.

    python -m benchmarks.peers.table [--check]

A table a corpus, between `<!-- peers:conll2003:begin -->` and its end, and one of pools of several sizes, between
`<!-- peers_curve:conll2003:begin -->` and its end. `--check` changes nothing and fails where a page does not say what
the results say; the tests run it.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.peers.curve import PEERS
from benchmarks.peers.run import OURS_WITH_POOL, RESULTS
from benchmarks.quality.compare import RESULTS as OURS
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.peers.table")


def _section(name: str) -> Table | None:
    kind, _, corpus = name.partition(":")
    if kind == "peers_curve":
        found = [json.loads(path.read_text()) for path in (RESULTS / "curve" / corpus).glob("*.json")]
        ours = [json.loads(path.read_text()) for path in (OURS / "curve" / corpus).glob("*.json")]
        return curve(found, ours) if found else None
    path = RESULTS / f"{corpus}.json"
    return table(path.read_text(encoding="utf-8")) if kind == "peers" and path.exists() else None


def table(result: str) -> Table:
    """A row a system: F1, how much less it has than entsemble with its pool, and what it costs.

    Args:
        result: JSON, as `run.measure` gives it.
    """
    told = json.loads(result)
    head = ["system", "F1", "95 % interval", "difference to entsemble with its pool", "95 % interval", "p"]
    rows = [
        [*head, "s beforehand", "s a sentence", "tokens evaluated + written a sentence", "sentences without an answer"]
    ]
    rows.append(["---"] * len(rows[0]))
    reference = [Counts(*one) for one in told["systems"][OURS_WITH_POOL]["counts"]]
    for name, ran in told["systems"].items():
        counts = [Counts(*one) for one in ran["counts"]]
        row = [name, f"{sum(counts, Counts()).f1:.3f}", _ends(counts), "", "", ""]
        if name != OURS_WITH_POOL:
            against = compare_f1(counts, reference)
            ends = "{:+.3f} to {:+.3f}".format(*against.ci95)
            row[3:] = [f"{against.difference:+.3f}", ends, f"{against.p_value:.3f}"]
        n = len(counts)
        tokens = f"{ran['evaluated'] / n:.0f} + {ran['generated'] / n:.0f}" if "evaluated" in ran else ""
        once = f"{ran['preparation_seconds']:.0f}" if "preparation_seconds" in ran else ""
        rows.append([*row, once, f"{ran['seconds'] / n:.2f}", tokens, str(len(ran["failed"]))])
    return rows


def curve(results: list[dict[str, Any]], ours: list[dict[str, Any]]) -> Table:
    """A row a size of the pool and peer: F1, what the ensemble has with the same pool, and how much more, paired."""
    rows = [["sentences in the pool", "system", "F1", "95 % interval", "entsemble has more", "95 % interval", "p"]]
    rows.append(["---"] * len(rows[0]))
    own = {result["pool"]: [Counts(*one) for one in result["counts"]] for result in ours}
    names = list(PEERS)
    for result in sorted(results, key=lambda r: (r["pool"], names.index(r["peer"]))):
        counts = [Counts(*one) for one in result["counts"]]
        mine = own[result["pool"]]
        if result["peer"] == names[0]:
            rows.append([str(result["pool"]), "entsemble", f"{sum(mine, Counts()).f1:.3f}", _ends(mine), "", "", ""])
        against = compare_f1(mine, counts)
        more = [f"{against.difference:+.3f}", "{:+.3f} to {:+.3f}".format(*against.ci95), f"{against.p_value:.3f}"]
        rows.append([str(result["pool"]), result["peer"], f"{sum(counts, Counts()).f1:.3f}", _ends(counts), *more])
    return rows


def _ends(counts: list[Counts]) -> str:
    return "{:.3f} to {:.3f}".format(*f1_interval(counts))


if __name__ == "__main__":
    main()
