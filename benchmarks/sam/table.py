"""Turns the committed results into the tables of README.md and docs/benchmarks.md.

    python -m benchmarks.sam.table [--check]

Four tables, each between `<!-- sam:systems:begin -->` and its end, and likewise `unified`, `ablation` and `sanity`.
`--check` changes nothing and fails where a page does not say what the results say; the tests run it.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.pages import Table, fill
from benchmarks.sam.ablation import RESULTS as VARIED
from benchmarks.sam.run import RESULTS, TARGETS
from benchmarks.sam.sanity import RESULTS as HOME
from entsemble.evaluation.bootstrap import compare, interval
from entsemble.evaluation.counts import Counts

SYSTEMS = ("base", "common", "unified", "merge of all", "domain", "sampled", "sam", "sam by vote")
TOLD = {"domain": "(i) domain", "sampled": "(ii) sampled", "sam": "SaM", "sam by vote": "SaM by vote"}


def main() -> None:
    """Write the tables, or check them."""
    fill(_section, "benchmarks.sam.table")


def _section(name: str) -> Table | None:
    if name in {"sam:sanity", "sam:ablation"}:
        return sanity() if name == "sam:sanity" else ablation()
    tables = {"sam:systems": systems, "sam:unified": against_unified}
    found = {target: _results(target) for target in TARGETS}
    needed = set(SYSTEMS) if name == "sam:unified" else set(SYSTEMS) - {"unified"}
    whole = {target: ran for target, ran in found.items() if ran.keys() >= needed}
    return tables[name](whole) if name in tables and whole else None


def _results(target: str) -> dict[str, dict[str, Any]]:
    """By system, those that were measured on the sentences that SaM was; others wait to be measured anew."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((RESULTS / target).glob("*.json"))]
    sentences = {told["sentences"] for told in read if told["system"] == "sam"}
    return {told["system"]: told for told in read if told["sentences"] in sentences}


def systems(found: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: typed F1 and that of the spans alone, for each system."""
    ran_everywhere = [s for s in SYSTEMS if all(s in ran for ran in found.values())]
    head = ["target", "sentences", *(TOLD.get(s, s) for s in ran_everywhere), "SaM's F1, 95 % interval"]
    rows = [head, ["---"] * len(head)]
    for target, ran in found.items():
        ends = _with_interval(_counts(ran["sam"]))[1]
        rows.append([target, str(ran["sam"]["sentences"]), *(_cell(ran[s]) for s in ran_everywhere), ends])
    means = [
        " / ".join(f"{sum(ran[s][key] for ran in found.values()) / len(found):.3f}" for key in ("f1", "spans_f1"))
        for s in ran_everywhere
    ]
    return [*rows, ["mean", "", *means, ""]]


def against_unified(found: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: SaM's F1 and the unified model's, and their difference, paired."""
    head = ["target", "SaM", "95 % interval", "unified", "95 % interval", "difference", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for target, ran in found.items():
        one, two = _counts(ran["sam"]), _counts(ran["unified"])
        told = compare(one, two)
        ends = "{:+.3f} to {:+.3f}".format(*told.ci95)
        rows.append([target, *_with_interval(one), *_with_interval(two), f"{told.difference:+.3f}", ends])
        rows[-1].append(f"{told.p_value:.3f}")
    return rows


def ablation() -> Table | None:
    """A row a variant: typed F1 and that of the spans on each target, and the difference to the first over all."""
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(VARIED.glob("*.json"))]
    if not told:
        return None
    head = ["SaM", *(t["target"] for t in told), "all", "difference", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    first, *_ = told[0]["variants"]
    usual = [c for t in told for c in _counts(t["variants"][first])]
    for name in told[0]["variants"]:
        counts = [c for t in told for c in _counts(t["variants"][name])]
        row = [name, *(_cell(t["variants"][name]) for t in told), f"{sum(counts, Counts()).f1:.3f}"]
        found = compare(counts, usual)
        ends = "{:+.3f} to {:+.3f}".format(*found.ci95)
        rows.append(
            [*row, *(["", "", ""] if name == first else [f"{found.difference:+.3f}", ends, f"{found.p_value:.3f}"])]
        )
    return rows


def sanity() -> Table | None:
    """A row a domain, a column an expert: typed F1 on what the domain's own expert never learnt."""
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(HOME.glob("*.json"))]
    if not told:
        return None
    names = list(told[0]["experts"])
    rows = [["domain", "sentences", *names], ["---"] * (len(names) + 2)]
    for domain in told:
        ran = domain["experts"]
        own = {n: f"**{ran[n]['f1']:.3f}**" if n == domain["domain"] else f"{ran[n]['f1']:.3f}" for n in names}
        rows.append([domain["domain"], str(ran["base"]["sentences"]), *own.values()])
    return rows


def _counts(told: dict[str, Any]) -> list[Counts]:
    return [Counts(*one) for one in told["counts"]]


def _with_interval(counts: list[Counts]) -> list[str]:
    low, high = interval(counts)
    return [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]


def _cell(told: dict[str, Any]) -> str:
    return f"{told['f1']:.3f} / {told['spans_f1']:.3f}"


if __name__ == "__main__":
    main()
