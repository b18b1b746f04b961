"""Turns the committed results into the tables of the pages in docs.

    python -m benchmarks.sam.table [--check]

Tables, each between `<!-- sam:systems:begin -->` and its end, and likewise `gains` (SaM against each of the others,
over the targets), `experts` (each alone), `unified`, `ablation`, `with_pool` and `in_vs_out_of_domain`.
`--check` changes nothing and fails where a page does not say what the results say; the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pages import Table, fill_tables
from benchmarks.sam.ablation import RESULTS as VARIED
from benchmarks.sam.in_vs_out_of_domain import RESULTS as DOMAIN_RESULTS
from benchmarks.sam.run import BASE, CHOSEN, EVERY, RESULTS, TARGETS, alone
from benchmarks.sam.unified import COMMON, UNIFIED, taking_part
from benchmarks.sam.with_pool import RESULTS as POOLED
from benchmarks.sam.with_pool import SYSTEMS as SYSTEMS_WITH_POOL
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

SYSTEMS = (BASE, COMMON, UNIFIED, EVERY, *CHOSEN, "sam", "sam by vote")
RIVALS = (
    *(f"{name}{how}" for name in (COMMON, UNIFIED, EVERY) for how in ("", " corrected")),
    *(*CHOSEN, "sam by vote"),
)

Floats = npt.NDArray[np.float64]

TOLD = {"domain": "(i) domain", "sampled": "(ii) sampled", "sam": "SaM", "sam by vote": "SaM by vote"}


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.sam.table")


def _section(name: str) -> Table | None:
    by_themselves = {
        "sam:in_vs_out_of_domain": in_vs_out_of_domain,
        "sam:ablation": ablation,
        "sam:with_pool": with_pool,
    }
    if name in by_themselves:
        return by_themselves[name]()
    found = {target: _results(target) for target in TARGETS}
    if name == "sam:gains":
        return gains(found)
    if name == "sam:unified":
        both = {target: ran for target, ran in found.items() if ran.keys() >= {"sam", UNIFIED}}
        return against(UNIFIED, both) if both else None
    if name == "sam:experts":
        return experts(found)
    whole = {target: ran for target, ran in found.items() if ran.keys() >= set(SYSTEMS) - {UNIFIED}}
    return systems(whole) if name == "sam:systems" and whole else None


def _results(target: str, folder: Path = RESULTS, judge: str = "sam") -> dict[str, dict[str, Any]]:
    """By system, those that were measured on the sentences that the judge was; others wait to be measured anew."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / target).glob("*.json"))]
    sentences = {told["sentences"] for told in read if told["system"] == judge}
    return {told["system"]: told for told in read if told["sentences"] in sentences}


def systems(found: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: typed F1 and that of the spans alone, for each system."""
    ran_everywhere = [s for s in SYSTEMS if all(s in ran for ran in found.values())]
    head = ["target", "sentences", *(TOLD.get(s, s) for s in ran_everywhere), "SaM's F1, 95 % interval"]
    rows = [head, ["---"] * len(head)]
    for target, ran in found.items():
        ends = _with_interval(_counts(ran["sam"]))[1]
        rows.append([target, str(ran["sam"]["sentences"]), *(_cell(ran[s]) for s in ran_everywhere), ends])
    return [*rows, ["mean", "", *_means(found, ran_everywhere), ""]]


def experts(found: dict[str, dict[str, dict[str, Any]]]) -> Table | None:
    """A row a target: each single expert and SaM; the best expert, which nobody could know beforehand, in bold."""
    names = list(map(alone, taking_part()))
    whole = {target: ran for target, ran in found.items() if ran.keys() >= {*names, "sam"}}
    if not whole:
        return None
    head = ["target", *taking_part(), TOLD["sam"]]
    rows = [head, ["---"] * len(head)]
    for target, ran in whole.items():
        best = max(names, key=lambda s: float(ran[s]["f1"]))
        cells = [f"**{_cell(ran[s])}**" if s == best else _cell(ran[s]) for s in names]
        rows.append([target, *cells, _cell(ran["sam"])])
    return [*rows, ["mean", *_means(whole, [*names, "sam"])]]


def _means(found: dict[str, dict[str, dict[str, Any]]], systems: Sequence[str]) -> list[str]:
    return [
        " / ".join(f"{sum(ran[s][key] for ran in found.values()) / len(found):.3f}" for key in ("f1", "spans_f1"))
        for s in systems
    ]


def against(rival: str, found: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: SaM's F1 and its rival's, and their difference, paired."""
    head = ["target", "SaM", "95 % interval", rival, "95 % interval", "difference", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for target, ran in found.items():
        one, two = _counts(ran["sam"]), _counts(ran[rival])
        told = compare_f1(one, two)
        ends = "{:+.3f} to {:+.3f}".format(*told.ci95)
        rows.append([target, *_with_interval(one), *_with_interval(two), f"{told.difference:+.3f}", ends])
        rows[-1].append(f"{told.p_value:.3f}")
    return rows


def gains(found: dict[str, dict[str, dict[str, Any]]]) -> Table | None:
    """A row a rival: the means over the targets on which both were measured, and how much more SaM has.

    The intervals are of sentences drawn within each target, so they speak of these targets, not of others.
    """
    rivals = [s for s in RIVALS if any(ran.keys() >= {"sam", s} for ran in found.values())]
    if not rivals:
        return None
    head = ["SaM against", "targets", "SaM", "it", "SaM has more", "95 % interval", "of spans alone", "95 % interval"]
    rows = [head, ["---"] * len(head)]
    for rival in rivals:
        both = [(ran["sam"], ran[rival]) for ran in found.values() if ran.keys() >= {"sam", rival}]
        cells = [TOLD.get(rival, rival), str(len(both))]
        for key in ("counts", "spans"):
            means = mean_f1([(_counts(one, key), _counts(two, key)) for one, two in both])
            ours, theirs = means[0]
            low, high = np.quantile(means[1:, 0] / means[1:, 1] - 1, [0.025, 0.975])
            cells += [f"{ours:.3f}", f"{theirs:.3f}"] if key == "counts" else []
            cells += [f"{ours / theirs - 1:+.0%}", f"{low:+.0%} to {high:+.0%}"]
        rows.append(cells)
    return rows


def mean_f1(targets: Sequence[tuple[Sequence[Counts], Sequence[Counts]]], resamples: int = 1000) -> Floats:
    """[1 + resamples, 2] of two systems' F1, the mean over the targets: first as it is, then with sentences redrawn.

    Args:
        targets: the counts of each sentence, by either system.
        resamples: how often as many sentences of each target are drawn with replacement.
    """
    rng = np.random.default_rng(0)
    f1 = []
    for both in targets:
        table = np.array([[(c.tp, c.fp, c.fn) for c in counts] for counts in both], dtype=np.float64)
        drawn = rng.integers(table.shape[1], size=(resamples, table.shape[1]))
        drawn = np.vstack([np.arange(table.shape[1]), drawn])
        right, wrong, missed = np.moveaxis(table[:, drawn].sum(axis=2), -1, 0)
        f1.append(2 * right / np.maximum(2 * right + wrong + missed, 1))
    return np.asarray(np.mean(f1, axis=0).T)


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
        found = compare_f1(counts, usual)
        ends = "{:+.3f} to {:+.3f}".format(*found.ci95)
        rows.append(
            [*row, *(["", "", ""] if name == first else [f"{found.difference:+.3f}", ends, f"{found.p_value:.3f}"])]
        )
    return rows


def with_pool() -> Table | None:
    """A row a target on which every system ran: what SaM's members add to EL4NER's, paired, as they are and learnt.

    The last row is of all sentences together.
    """
    found = {target: _results(target, POOLED, "both") for target in TARGETS}
    whole = {target: ran for target, ran in found.items() if ran.keys() >= set(SYSTEMS_WITH_POOL)}
    if not whole:
        return None
    pairs = {
        "SaM's members add": ("both", "EL4NER"),
        "where learnt": ("both, votes learnt", "EL4NER, votes learnt"),
        "learning adds to EL4NER": ("EL4NER, votes learnt", "EL4NER"),
        "learning adds to both": ("both, votes learnt", "both"),
        "members and learning add": ("both, votes learnt", "EL4NER"),
    }
    head = ["target", "sentences", *SYSTEMS_WITH_POOL, *pairs]
    rows = [head, ["---"] * len(head)]
    for target, ran in whole.items():
        added = [_added(_counts(ran[one]), _counts(ran[two])) for one, two in pairs.values()]
        rows.append([target, str(ran["both"]["sentences"]), *(_cell(ran[s]) for s in SYSTEMS_WITH_POOL), *added])
    every = {s: [c for ran in whole.values() for c in _counts(ran[s])] for s in SYSTEMS_WITH_POOL}
    added = [_added(every[one], every[two]) for one, two in pairs.values()]
    sentences = str(len(every["both"]))
    return [*rows, ["all", sentences, *(f"{sum(every[s], Counts()).f1:.3f}" for s in SYSTEMS_WITH_POOL), *added]]


def _added(one: Sequence[Counts], two: Sequence[Counts]) -> str:
    told = compare_f1(one, two)
    low, high = told.ci95
    return f"{told.difference:+.3f} ({low:+.3f} to {high:+.3f}), p {told.p_value:.3f}"


def in_vs_out_of_domain() -> Table | None:
    """A row a domain, a column an expert: typed F1 on what the domain's own expert never learnt.

    The last columns set that expert beside the best of the others, which is known only afterwards, paired.
    """
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DOMAIN_RESULTS.glob("*.json"))]
    if not told:
        return None
    names = list(told[0]["experts"])
    head = ["domain", "sentences", *names, "its own and the best other", "95 % interval"]
    rows = [head, ["---"] * len(head)]
    for domain in told:
        ran = domain["experts"]
        own = {n: f"**{ran[n]['f1']:.3f}**" if n == domain["domain"] else f"{ran[n]['f1']:.3f}" for n in names}
        best = max((n for n in names if n != domain["domain"]), key=lambda n: float(ran[n]["f1"]))
        found = compare_f1(_counts(ran[domain["domain"]]), _counts(ran[best]))
        against = [f"{found.difference:+.3f}", "{:+.3f} to {:+.3f}".format(*found.ci95)]
        rows.append([domain["domain"], str(ran["base"]["sentences"]), *own.values(), *against])
    return rows


def _counts(told: dict[str, Any], key: str = "counts") -> list[Counts]:
    return [Counts(*one) for one in told[key]]


def _with_interval(counts: list[Counts]) -> list[str]:
    low, high = f1_interval(counts)
    return [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]


def _cell(told: dict[str, Any]) -> str:
    return f"{told['f1']:.3f} / {told['spans_f1']:.3f}"


if __name__ == "__main__":
    main()
