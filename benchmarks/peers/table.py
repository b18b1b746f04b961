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
        peer_results = [json.loads(path.read_text()) for path in (RESULTS / "curve" / corpus).glob("*.json")]
        our_results = [json.loads(path.read_text()) for path in (OURS / "curve" / corpus).glob("*.json")]
        return curve(peer_results, our_results) if peer_results else None
    path = RESULTS / f"{corpus}.json"
    return table(path.read_text(encoding="utf-8")) if kind == "peers" and path.exists() else None


def table(result: str) -> Table:
    """A row a system: F1, how much less it has than entsemble with its pool, and what it costs.

    Args:
        result: JSON, as `run.measure` gives it.
    """
    results = json.loads(result)
    header = ["system", "F1", "95 % interval", "difference to entsemble with its pool", "95 % interval", "p"]
    rows = [
        [
            *header,
            "s beforehand",
            "s a sentence",
            "tokens evaluated + written a sentence",
            "sentences without an answer",
        ]
    ]
    rows.append(["---"] * len(rows[0]))
    reference = [Counts(*document_counts) for document_counts in results["systems"][OURS_WITH_POOL]["counts"]]
    for name, system_result in results["systems"].items():
        counts = [Counts(*document_counts) for document_counts in system_result["counts"]]
        row = [name, f"{sum(counts, Counts()).f1:.3f}", _ends(counts), "", "", ""]
        if name != OURS_WITH_POOL:
            difference = compare_f1(counts, reference)
            ends = "{:+.3f} to {:+.3f}".format(*difference.ci95)
            row[3:] = [f"{difference.difference:+.3f}", ends, f"{difference.p_value:.3f}"]
        sentence_count = len(counts)
        tokens = (
            f"{system_result['evaluated'] / sentence_count:.0f} + {system_result['generated'] / sentence_count:.0f}"
            if "evaluated" in system_result
            else ""
        )
        preparation = f"{system_result['preparation_seconds']:.0f}" if "preparation_seconds" in system_result else ""
        rows.append(
            [
                *row,
                preparation,
                f"{system_result['seconds'] / sentence_count:.2f}",
                tokens,
                str(len(system_result["failed"])),
            ]
        )
    return rows


def curve(results: list[dict[str, Any]], our_results: list[dict[str, Any]]) -> Table:
    """A row a size of the pool and peer: F1, what the ensemble has with the same pool, and how much more, paired."""
    rows = [["sentences in the pool", "system", "F1", "95 % interval", "entsemble has more", "95 % interval", "p"]]
    rows.append(["---"] * len(rows[0]))
    our_counts = {
        result["pool"]: [Counts(*document_counts) for document_counts in result["counts"]] for result in our_results
    }
    names = list(PEERS)
    for result in sorted(results, key=lambda r: (r["pool"], names.index(r["peer"]))):
        counts = [Counts(*document_counts) for document_counts in result["counts"]]
        our_document_counts = our_counts[result["pool"]]
        if result["peer"] == names[0]:
            rows.append(
                [
                    str(result["pool"]),
                    "entsemble",
                    f"{sum(our_document_counts, Counts()).f1:.3f}",
                    _ends(our_document_counts),
                    "",
                    "",
                    "",
                ]
            )
        difference = compare_f1(our_document_counts, counts)
        comparison = [
            f"{difference.difference:+.3f}",
            "{:+.3f} to {:+.3f}".format(*difference.ci95),
            f"{difference.p_value:.3f}",
        ]
        rows.append(
            [str(result["pool"]), result["peer"], f"{sum(counts, Counts()).f1:.3f}", _ends(counts), *comparison]
        )
    return rows


def _ends(counts: list[Counts]) -> str:
    return "{:.3f} to {:.3f}".format(*f1_interval(counts))


if __name__ == "__main__":
    main()
