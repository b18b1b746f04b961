"""Turns the stored results into the tables of the documentation.

    python -m benchmarks.quality.table [--check]

A table stands between `<!-- KIND:FOLDER:begin -->` and `<!-- KIND:FOLDER:end -->`, where FOLDER is a folder of results
and KIND one of `_section`: `quality` and `bounds` for reports of `run.py` (`headline` is a short form), `against` for
the difference of a variant to the default, `compare` for experiments of `compare.py`, `rules`, `prior_transfer`,
`prior_strength`, `training_size` and `curve` for the benchmarks of these names. The default's reports have no FOLDER.
`--check` changes nothing and fails if a page differs from the results; the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.quality.corpora import CORPORA
from benchmarks.quality.differences import (
    DIFFERENCE_COLUMNS,
    difference_to_first,
    paired_row,
    parse_counts,
    with_verdict,
)
from benchmarks.quality.experiments import EXPERIMENTS
from benchmarks.quality.report_tables import bounds, headline, quality
from entsemble.evaluation.counts import Counts

RESULTS = Path(__file__).parent / "results"
Result = dict[str, Any]


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.quality.table")


def _section(name: str) -> Table | None:
    kind, _, folder_name = name.partition(":")
    folder = RESULTS / ("curve" if kind == "curve" else folder_name)
    files = sorted(folder.glob("*/*.json" if kind in {"compare", "curve"} else "*.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    tables: Mapping[str, Callable[[], Table]] = {
        "compare": lambda: comparison(_by_corpus(results, folder_name)),
        "curve": lambda: curve(results),
        "rules": lambda: rules(results),
        "prior_transfer": lambda: prior_transfer(results[0]),
        "prior_strength": lambda: prior_strength(_in_order(results)),
        "training_size": lambda: training_size(_in_order(results)),
        "against": lambda: against(_in_order(results), _default_results()),
        "headline": lambda: headline(_in_order(results)),
        "quality": lambda: quality(_in_order(results)),
        "bounds": lambda: bounds(_in_order(results)),
    }
    return tables[kind]() if results and kind in tables else None


def _in_order(results: Sequence[Result]) -> list[Result]:
    """In the order of the corpora."""
    order = [corpus.name for corpus in CORPORA]
    return sorted(results, key=lambda result: order.index(result["corpus"]))


def _default_results() -> dict[str, Result]:
    """Corpus -> the result of the default."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")}


def _by_corpus(results: Sequence[Result], experiment_name: str) -> list[list[Result]]:
    """The variants of each corpus, in the order of the experiment."""
    experiment = EXPERIMENTS[experiment_name]
    order = list(experiment.variants)
    ordered = sorted(results, key=lambda result: order.index(result["variant"]))
    return [[result for result in ordered if result["corpus"] == corpus] for corpus in experiment.corpora]


def prior_transfer(result: Result) -> Table:
    """A row for each precision of the prior: mean F1 in and out of domain."""
    domains = result["f1"]
    head = ["precision of the prior", *(f"{domain} ({result['pairs'][domain]})" for domain in domains)]
    rows = [
        [precision, *(f"{f1[precision]:.3f}" for f1 in domains.values())] for precision in next(iter(domains.values()))
    ]
    return [head, ["---"] * len(head), *rows]


def prior_strength(results: Sequence[Result]) -> Table:
    """A row for each corpus and precision: F1, calibration, and log loss with its difference to the first, paired."""
    head = ["corpus", "log Bayes factor", "precision", "F1", "calibration error", "log loss per sentence"]
    head += DIFFERENCE_COLUMNS[:3]
    rows = [head, ["---"] * len(head)]
    for result in results:
        for name, measured in result["precisions"].items():
            low, high = measured["ci95"]
            difference = [f"{measured['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{measured['p_value']:.3f}"]
            rows.append(
                [
                    result["corpus"],
                    f"{result['log_bayes_factor']:.2f}",
                    name,
                    *(f"{measured[metric]:.3f}" for metric in ("f1", "calibration_error", "log_loss")),
                    *(difference if measured["difference"] else [""] * 3),
                ]
            )
    return rows


def training_size(results: Sequence[Result]) -> Table:
    """A row for each corpus and number of training sentences."""
    rows = [["corpus", "training sentences", "F1", "calibration error", "log loss"], ["---"] * 5]
    for result in results:
        for size, means in result["means"].items():
            values = (means[metric] for metric in ("f1", "calibration_error", "log_loss"))
            rows.append([result["corpus"], size, *(f"{value:.3f}" for value in values)])
    return rows


def rules(results: Sequence[Result]) -> Table:
    """A row for each corpus and rule, and for all corpora and a rule: F1, and the difference to the first, paired."""
    head = ["corpus", "rule", "F1", "95 % interval", *DIFFERENCE_COLUMNS]
    rows = [head, ["---"] * len(head)]
    all_counts: dict[str, list[Counts]] = {}
    for result in results:
        counts_by_rule = {rule: parse_counts(counts) for rule, counts in result["rules"].items()}
        rows += _rule_rows(result["corpus"], counts_by_rule)
        for rule, counts in counts_by_rule.items():
            all_counts.setdefault(rule, []).extend(counts)
    return rows + _rule_rows("all", all_counts) if len(results) > 1 else rows


def _rule_rows(corpus: str, counts_by_rule: Mapping[str, list[Counts]]) -> Table:
    first = next(iter(counts_by_rule.values()))
    return [
        [corpus, rule, *with_verdict(difference_to_first(counts, first))] for rule, counts in counts_by_rule.items()
    ]


def comparison(corpora: Sequence[Sequence[Result]]) -> Table:
    """A row for each corpus and variant, and for all corpora and a variant: F1 and the difference to the first, paired.

    Args:
        corpora: the variants of each corpus, in order.
    """
    head = ["corpus", "variant", "F1", "95 % interval", *DIFFERENCE_COLUMNS, "tokens evaluated per sentence"]
    rows = [head, ["---"] * len(head)]
    all_counts: dict[str, list[Counts]] = {}
    for variants in corpora:
        first = parse_counts(variants[0]["counts"]) if variants else []
        for result in variants:
            counts = first if result is variants[0] else parse_counts(result["counts"])
            evaluated = result["prompt_tokens_evaluated"]
            tokens = "" if evaluated is None else f"{evaluated / len(counts):.0f}"
            rows.append(
                [result["corpus"], result["variant"], *with_verdict(difference_to_first(counts, first)), tokens]
            )
            all_counts.setdefault(result["variant"], []).extend(counts)
    first = next(iter(all_counts.values()), [])
    if sum(map(bool, corpora)) > 1:
        complete = {variant: counts for variant, counts in all_counts.items() if len(counts) == len(first)}
        rows += [
            ["all", variant, *with_verdict(difference_to_first(counts, first)), ""]
            for variant, counts in complete.items()
        ]
    return rows


def curve(results: Sequence[Result]) -> Table:
    """A row for each corpus and size of the pool: F1 of the ensemble, and the difference to its best member, paired."""
    head = ["corpus", "pool", "F1", "95 % interval", "best member", "its F1", "difference to it", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for result in sorted(results, key=lambda result: (result["corpus"], result["pool"])):
        member_counts = {name: parse_counts(counts) for name, counts in result["members"].items()}
        member_f1 = {name: sum(counts, Counts()).f1 for name, counts in member_counts.items()}
        best = max(member_f1, key=member_f1.__getitem__)
        f1, interval, *difference = difference_to_first(parse_counts(result["counts"]), member_counts[best])
        rows.append([result["corpus"], str(result["pool"]), f1, interval, best, f"{member_f1[best]:.3f}", *difference])
    return rows


def against(results: Sequence[Result], default_results: Mapping[str, Result]) -> Table:
    """A row for each corpus, and one for all: F1 of a variant and of the default on the same sentences, paired.

    Args:
        results: of the variant.
        default_results: corpus -> the result of the default.
    """
    head = ["corpus", "sentences", "F1", "95 % interval", "F1 of the default", "difference", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    all_counts: list[Counts] = []
    all_default_counts: list[Counts] = []
    for result in results:
        documents = result["report"].get("documents", {})
        default_documents = default_results.get(result["corpus"], {"report": {}})["report"].get("documents", {})
        if shared := [document for document in documents if document in default_documents]:
            counts = parse_counts([documents[document] for document in shared])
            default_counts = parse_counts([default_documents[document] for document in shared])
            rows.append([result["corpus"], *paired_row(counts, default_counts)])
            all_counts += counts
            all_default_counts += default_counts
    return [*rows, ["all", *paired_row(all_counts, all_default_counts)]] if len(rows) > 3 else rows


if __name__ == "__main__":
    main()
