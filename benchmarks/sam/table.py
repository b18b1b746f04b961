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

DISPLAY_NAMES = {"domain": "(i) domain", "sampled": "(ii) sampled", "sam": "SaM", "sam by vote": "SaM by vote"}


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
    by_target = {target: _results(target) for target in TARGETS}
    if name == "sam:gains":
        return gains(by_target)
    if name == "sam:unified":
        both = {target: by_system for target, by_system in by_target.items() if by_system.keys() >= {"sam", UNIFIED}}
        return against(UNIFIED, both) if both else None
    if name == "sam:experts":
        return experts(by_target)
    whole = {
        target: by_system for target, by_system in by_target.items() if by_system.keys() >= set(SYSTEMS) - {UNIFIED}
    }
    return systems(whole) if name == "sam:systems" and whole else None


def _results(target: str, folder: Path = RESULTS, judge: str = "sam") -> dict[str, dict[str, Any]]:
    """By system, those that were measured on the sentences that the judge was; others wait to be measured anew."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / target).glob("*.json"))]
    sentences = {result["sentences"] for result in read if result["system"] == judge}
    return {result["system"]: result for result in read if result["sentences"] in sentences}


def systems(by_target: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: typed F1 and that of the spans alone, for each system."""
    ran_everywhere = [s for s in SYSTEMS if all(s in by_system for by_system in by_target.values())]
    header = ["target", "sentences", *(DISPLAY_NAMES.get(s, s) for s in ran_everywhere), "SaM's F1, 95 % interval"]
    rows = [header, ["---"] * len(header)]
    for target, by_system in by_target.items():
        ends = _with_interval(_counts(by_system["sam"]))[1]
        rows.append([target, str(by_system["sam"]["sentences"]), *(_cell(by_system[s]) for s in ran_everywhere), ends])
    return [*rows, ["mean", "", *_means(by_target, ran_everywhere), ""]]


def experts(by_target: dict[str, dict[str, dict[str, Any]]]) -> Table | None:
    """A row a target: each single expert and SaM; the best expert, which nobody could know beforehand, in bold."""
    names = list(map(alone, taking_part()))
    whole = {target: by_system for target, by_system in by_target.items() if by_system.keys() >= {*names, "sam"}}
    if not whole:
        return None
    header = ["target", *taking_part(), DISPLAY_NAMES["sam"]]
    rows = [header, ["---"] * len(header)]
    for target, by_system in whole.items():
        best = max(names, key=lambda s: float(by_system[s]["f1"]))
        cells = [f"**{_cell(by_system[s])}**" if s == best else _cell(by_system[s]) for s in names]
        rows.append([target, *cells, _cell(by_system["sam"])])
    return [*rows, ["mean", *_means(whole, [*names, "sam"])]]


def _means(by_target: dict[str, dict[str, dict[str, Any]]], systems: Sequence[str]) -> list[str]:
    return [
        " / ".join(
            f"{sum(by_system[s][key] for by_system in by_target.values()) / len(by_target):.3f}"
            for key in ("f1", "spans_f1")
        )
        for s in systems
    ]


def against(rival: str, by_target: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row a target: SaM's F1 and its rival's, and their difference, paired."""
    header = ["target", "SaM", "95 % interval", rival, "95 % interval", "difference", "95 % interval", "p"]
    rows = [header, ["---"] * len(header)]
    for target, by_system in by_target.items():
        first, second = _counts(by_system["sam"]), _counts(by_system[rival])
        difference = compare_f1(first, second)
        ends = "{:+.3f} to {:+.3f}".format(*difference.ci95)
        rows.append([target, *_with_interval(first), *_with_interval(second), f"{difference.difference:+.3f}", ends])
        rows[-1].append(f"{difference.p_value:.3f}")
    return rows


def gains(by_target: dict[str, dict[str, dict[str, Any]]]) -> Table | None:
    """A row a rival: the means over the targets on which both were measured, and how much more SaM has.

    The intervals are of sentences drawn within each target, so they speak of these targets, not of others.
    """
    rivals = [s for s in RIVALS if any(by_system.keys() >= {"sam", s} for by_system in by_target.values())]
    if not rivals:
        return None
    header = ["SaM against", "targets", "SaM", "it", "SaM has more", "95 % interval", "of spans alone", "95 % interval"]
    rows = [header, ["---"] * len(header)]
    for rival in rivals:
        both = [
            (by_system["sam"], by_system[rival])
            for by_system in by_target.values()
            if by_system.keys() >= {"sam", rival}
        ]
        cells = [DISPLAY_NAMES.get(rival, rival), str(len(both))]
        for key in ("counts", "spans"):
            means = mean_f1([(_counts(first, key), _counts(second, key)) for first, second in both])
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
        resampled = rng.integers(table.shape[1], size=(resamples, table.shape[1]))
        resampled = np.vstack([np.arange(table.shape[1]), resampled])
        right, wrong, missed = np.moveaxis(table[:, resampled].sum(axis=2), -1, 0)
        f1.append(2 * right / np.maximum(2 * right + wrong + missed, 1))
    return np.asarray(np.mean(f1, axis=0).T)


def ablation() -> Table | None:
    """A row a variant: typed F1 and that of the spans on each target, and the difference to the first over all."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(VARIED.glob("*.json"))]
    if not results:
        return None
    header = ["SaM", *(t["target"] for t in results), "all", "difference", "95 % interval", "p"]
    rows = [header, ["---"] * len(header)]
    first, *_ = results[0]["variants"]
    usual = [c for t in results for c in _counts(t["variants"][first])]
    for name in results[0]["variants"]:
        counts = [c for t in results for c in _counts(t["variants"][name])]
        row = [name, *(_cell(t["variants"][name]) for t in results), f"{sum(counts, Counts()).f1:.3f}"]
        difference = compare_f1(counts, usual)
        ends = "{:+.3f} to {:+.3f}".format(*difference.ci95)
        rows.append(
            [
                *row,
                *(
                    ["", "", ""]
                    if name == first
                    else [f"{difference.difference:+.3f}", ends, f"{difference.p_value:.3f}"]
                ),
            ]
        )
    return rows


def with_pool() -> Table | None:
    """A row a target on which every system ran: what SaM's members add to EL4NER's, paired, as they are and learnt.

    The last row is of all sentences together.
    """
    by_target = {target: _results(target, POOLED, "both") for target in TARGETS}
    whole = {target: by_system for target, by_system in by_target.items() if by_system.keys() >= set(SYSTEMS_WITH_POOL)}
    if not whole:
        return None
    pairs = {
        "SaM's members add": ("both", "EL4NER"),
        "where learnt": ("both, votes learnt", "EL4NER, votes learnt"),
        "learning adds to EL4NER": ("EL4NER, votes learnt", "EL4NER"),
        "learning adds to both": ("both, votes learnt", "both"),
        "members and learning add": ("both, votes learnt", "EL4NER"),
    }
    header = ["target", "sentences", *SYSTEMS_WITH_POOL, *pairs]
    rows = [header, ["---"] * len(header)]
    for target, by_system in whole.items():
        added = [_added(_counts(by_system[first]), _counts(by_system[second])) for first, second in pairs.values()]
        rows.append(
            [target, str(by_system["both"]["sentences"]), *(_cell(by_system[s]) for s in SYSTEMS_WITH_POOL), *added]
        )
    every = {s: [c for by_system in whole.values() for c in _counts(by_system[s])] for s in SYSTEMS_WITH_POOL}
    added = [_added(every[first], every[second]) for first, second in pairs.values()]
    sentences = str(len(every["both"]))
    return [*rows, ["all", sentences, *(f"{sum(every[s], Counts()).f1:.3f}" for s in SYSTEMS_WITH_POOL), *added]]


def _added(first: Sequence[Counts], second: Sequence[Counts]) -> str:
    difference = compare_f1(first, second)
    low, high = difference.ci95
    return f"{difference.difference:+.3f} ({low:+.3f} to {high:+.3f}), p {difference.p_value:.3f}"


def in_vs_out_of_domain() -> Table | None:
    """A row a domain, a column an expert: typed F1 on what the domain's own expert never learnt.

    The last columns set that expert beside the best of the others, which is known only afterwards, paired.
    """
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DOMAIN_RESULTS.glob("*.json"))]
    if not results:
        return None
    names = list(results[0]["experts"])
    header = ["domain", "sentences", *names, "its own and the best other", "95 % interval"]
    rows = [header, ["---"] * len(header)]
    for domain in results:
        by_system = domain["experts"]
        domain_cells = {
            n: f"**{by_system[n]['f1']:.3f}**" if n == domain["domain"] else f"{by_system[n]['f1']:.3f}" for n in names
        }
        best = max((n for n in names if n != domain["domain"]), key=lambda n: float(by_system[n]["f1"]))
        difference = compare_f1(_counts(by_system[domain["domain"]]), _counts(by_system[best]))
        against = [f"{difference.difference:+.3f}", "{:+.3f} to {:+.3f}".format(*difference.ci95)]
        rows.append([domain["domain"], str(by_system["base"]["sentences"]), *domain_cells.values(), *against])
    return rows


def _counts(result: dict[str, Any], key: str = "counts") -> list[Counts]:
    return [Counts(*document) for document in result[key]]


def _with_interval(counts: list[Counts]) -> list[str]:
    low, high = f1_interval(counts)
    return [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]


def _cell(result: dict[str, Any]) -> str:
    return f"{result['f1']:.3f} / {result['spans_f1']:.3f}"


if __name__ == "__main__":
    main()
