"""Turns the committed results into the tables of README.md and docs/benchmarks.md.

    python -m benchmarks.quality.table [--check]

A table stands between `<!-- quality:begin -->` and `<!-- quality:end -->`, one of `compare.py`'s between
`<!-- compare:retrieval:begin -->` and its end, those of `claims.py` between `<!-- claims:claims:begin -->` and its end,
and how an experiment's variants do beside the best of their members between `<!-- members:curve:begin -->` and its end.
`--check` changes nothing and fails where a page does not say what the results say; the tests run it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages import Table, fill
from benchmarks.quality.compare import EXPERIMENTS
from entsemble.evaluation.bootstrap import compare, interval
from entsemble.evaluation.calibration import chance_deviation
from entsemble.evaluation.counts import Counts

HERE = Path(__file__).parent
NONE_LEARNT = {"sentences": 0}
"""What reports made before votes could be learnt would say of it."""


def main() -> None:
    """Write the tables, or check them."""
    fill(_section, "benchmarks.quality.table")


def _section(name: str) -> Table | None:
    kind, _, experiment = name.partition(":")
    folder = HERE / "results" / experiment
    files = sorted(folder.glob("*/*.json" if kind in {"compare", "members"} else "*.json"))
    found = [json.loads(path.read_text()) for path in files]
    if not found:
        return None
    if kind in {"compare", "members"}:
        ran = _by_corpus(found, experiment)
        return comparison(ran) if kind == "compare" else beside_members(ran)
    kinds = {"quality": quality, "claims": claims}
    return kinds[kind](found) if kind in kinds else None


def _by_corpus(results: list[dict[str, Any]], experiment: str) -> list[list[dict[str, Any]]]:
    """The variants of each corpus, all in the experiment's order."""
    order = list(EXPERIMENTS[experiment].variants)
    results = sorted(results, key=lambda r: order.index(r["variant"]))
    return [[r for r in results if r["corpus"] == corpus] for corpus in EXPERIMENTS[experiment].corpora]


def claims(results: list[dict[str, Any]]) -> Table:
    """A row a corpus and rule: F1, and the difference to the first rule, paired."""
    head = ["corpus", "rule", "F1", "95 % interval", "difference to the first", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        told = {rule: _counts(counts) for rule, counts in result["rules"].items()}
        first = next(iter(told.values()))
        rows += [[result["corpus"], rule, *_against(counts, first)] for rule, counts in told.items()]
    return rows


def _against(counts: list[Counts], first: list[Counts]) -> list[str]:
    """F1 and its interval; the difference to the first, its interval and p, but of the first itself."""
    low, high = interval(counts)
    own = [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
    if counts is first:
        return [*own, "", "", ""]
    against = compare(counts, first)
    return [
        *own,
        f"{against.difference:+.3f}",
        "{:+.3f} to {:+.3f}".format(*against.ci95),
        f"{against.p_value:.3f}",
    ]


def comparison(corpora: list[list[dict[str, Any]]]) -> Table:
    """A row a corpus and variant: F1, and the difference to the first variant, paired.

    Args:
        corpora: the variants of each corpus, in order.
    """
    head = ["corpus", "variant", "F1", "95 % interval", "difference to the first", "95 % interval", "p"]
    head += ["tokens evaluated a sentence"]
    rows = [head, ["---"] * len(head)]
    for ran in corpora:
        first = _counts(ran[0]["counts"]) if ran else []
        for result in ran:
            counts = first if result is ran[0] else _counts(result["counts"])
            evaluated = result["prompt_tokens_evaluated"]
            tokens = "" if evaluated is None else f"{evaluated / len(counts):.0f}"
            rows.append([result["corpus"], result["variant"], *_against(counts, first), tokens])
    return rows


def beside_members(corpora: list[list[dict[str, Any]]]) -> Table:
    """A row a corpus and variant: F1 of the ensemble, and the difference to the best of its members, paired."""
    head = ["corpus", "pool", "F1", "95 % interval", "best member", "its F1", "difference to it", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for result in (r for ran in corpora for r in ran):
        alone = {name: _counts(counts) for name, counts in result["members"].items()}
        f1 = {name: sum(counts, Counts()).f1 for name, counts in alone.items()}
        best = max(f1, key=f1.__getitem__)
        own, ci95, *against = _against(_counts(result["counts"]), alone[best])
        rows.append([result["corpus"], result["variant"], own, ci95, best, f"{f1[best]:.3f}", *against])
    return rows


def _counts(told: list[list[int]]) -> list[Counts]:
    return [Counts(*one) for one in told]


def quality(results: list[dict[str, Any]]) -> Table:
    """A row a corpus."""
    members = sorted({name for r in results for name in r["report"]["members"]})
    head = ["corpus", "sentences", "F1", "95 % interval", *(f"{m} alone" for m in members)]
    head += ["calibration error", "by chance alone", "votes", "s a sentence", "tokens evaluated / submitted a sentence"]
    return [head, ["---"] * len(head), *(_row(r, members) for r in results)]


def _by_chance(bins: list[dict[str, Any]]) -> float:
    """`Reliability.ece_by_chance`, of results too whose report does not have it yet."""
    filled: list[tuple[int, float]] = [(b["count"], b["confidence"]) for b in bins if b["count"]]
    return sum(chance_deviation(*one) for one in filled) / max(1, sum(count for count, _ in filled))


def _row(result: dict[str, Any], members: list[str]) -> list[str]:
    report = result["report"]
    micro, cost = report["micro"], report["cost"]
    low, high = micro["f1_ci95"]
    n = cost["sentences"]
    return [
        result["corpus"],
        str(n),
        f"**{micro['f1']:.3f}**",
        f"{low:.3f} to {high:.3f}",
        *(f"{report['members'][m]['f1']:.3f}" if m in report["members"] else "" for m in members),
        f"{report['calibration']['ece']:.3f}",
        f"{_by_chance(report['reliability']['bins']):.3f}",
        "counted" if report["config"].get("stacking", NONE_LEARNT)["sentences"] == 0 else "learnt",
        f"{cost['seconds'] / n:.2f}",
        f"{cost['prompt_tokens_evaluated'] / n:.0f} / {cost['prompt_tokens_submitted'] / n:.0f}",
    ]


if __name__ == "__main__":
    main()
