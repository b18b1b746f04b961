"""Turns the committed results into the tables of the pages in docs.

    python -m benchmarks.quality.table [--check]

A table stands between `<!-- quality:begin -->` and `<!-- quality:end -->`, in short between `<!-- headline:begin -->`
and its end, that of another way between `<!-- quality:best:begin -->` and its end, what that way adds between
`<!-- against:best:begin -->` and its end, and what bounds the quality between `<!-- bounds:begin -->` and its end. One
of `compare.py`'s is between `<!-- compare:retrieval:begin -->` and its end, those of `claims.py` between
`<!-- claims:claims:begin -->` and its end, and how pools of several sizes do beside the best member between
`<!-- curve:begin -->` and its end.
`--check` changes nothing and fails where a page does not say what the results say; the tests run it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages import Table, fill_tables
from benchmarks.quality.compare import EXPERIMENTS
from benchmarks.quality.run import CORPORA
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

HERE = Path(__file__).parent
CROSSNER = sum(corpus.name.startswith("crossner-") for corpus in CORPORA)
BESIDE = ("difference to the first", "95 % interval", "p", "verdict")
NONE_LEARNT = {"sentences": 0}
"""What reports made before votes could be learnt would say of it."""


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.quality.table")


def _section(name: str) -> Table | None:
    kind, _, experiment = name.partition(":")
    folder = HERE / "results" / ("curve" if kind == "curve" else experiment)
    files = sorted(folder.glob("*/*.json" if kind in {"compare", "curve"} else "*.json"))
    found = [json.loads(path.read_text()) for path in files]
    tables: Mapping[str, Callable[[], Table]] = {
        "compare": lambda: comparison(_by_corpus(found, experiment)),
        "curve": lambda: curve(found),
        "claims": lambda: claims(found),
        "strange": lambda: strange(found[0]),
        "ridges": lambda: ridges(_in_order(found)),
        "teaching": lambda: teaching(_in_order(found)),
        "against": lambda: against(_in_order(found), _default()),
        "headline": lambda: headline(_in_order(found)),
        "quality": lambda: quality(_in_order(found)),
        "bounds": lambda: bounds(_in_order(found)),
    }
    return tables[kind]() if found and kind in tables else None


def _in_order(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the corpora are listed."""
    order = [corpus.name for corpus in CORPORA]
    return sorted(results, key=lambda r: order.index(r["corpus"]))


def _default() -> dict[str, dict[str, Any]]:
    """Corpus -> the default's result."""
    return {path.stem: json.loads(path.read_text()) for path in (HERE / "results").glob("*.json")}


def _by_corpus(results: list[dict[str, Any]], experiment: str) -> list[list[dict[str, Any]]]:
    """The variants of each corpus, all in the experiment's order."""
    order = list(EXPERIMENTS[experiment].variants)
    results = sorted(results, key=lambda r: order.index(r["variant"]))
    return [[r for r in results if r["corpus"] == corpus] for corpus in EXPERIMENTS[experiment].corpora]


def strange(result: dict[str, Any]) -> Table:
    """A row a ridge: mean F1 on texts like the pool's, and on strange ones."""
    kinds = result["f1"]
    rows = [["ridge", *(f"{kind} ({result['pairs'][kind]})" for kind in kinds)], ["---"] * (1 + len(kinds))]
    return rows + [[ridge, *(f"{f1[ridge]:.3f}" for f1 in kinds.values())] for ridge in next(iter(kinds.values()))]


def ridges(results: list[dict[str, Any]]) -> Table:
    """A row a corpus and ridge: how good, and how true, what is found is, and the loss beside the first, paired."""
    head = ["corpus", "log Bayes factor", "ridge", "F1", "calibration error", "log loss a sentence", *BESIDE[:3]]
    rows = [head, ["---"] * len(head)]
    for result in results:
        own = [result["corpus"], f"{result['log_bayes_factor']:.2f}"]
        for name, found in result["ridges"].items():
            told = [f"{found[key]:.3f}" for key in ("f1", "calibration_error", "log_loss")]
            low, high = found["ci95"]
            other = [f"{found['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{found['p_value']:.3f}"]
            rows.append([*own, name, *told, *(other if found["difference"] else [""] * 3)])
    return rows


def teaching(results: list[dict[str, Any]]) -> Table:
    """A row a corpus and number of sentences that teach: how good, and how true, what is found is."""
    rows = [["corpus", "sentences that teach", "F1", "calibration error", "log loss"], ["---"] * 5]
    for result in results:
        for number, found in result["means"].items():
            told = (found[key] for key in ("f1", "calibration_error", "log_loss"))
            rows.append([result["corpus"], number, *(f"{x:.3f}" for x in told)])
    return rows


def claims(results: list[dict[str, Any]]) -> Table:
    """A row a corpus and rule, and, of several corpora, one a rule: F1, and the difference to the first, paired."""
    head = ["corpus", "rule", "F1", "95 % interval", *BESIDE]
    rows = [head, ["---"] * len(head)]
    every: dict[str, list[Counts]] = {}
    for result in results:
        told = {rule: _counts(counts) for rule, counts in result["rules"].items()}
        first = next(iter(told.values()))
        rows += [[result["corpus"], rule, *_judged(_against(counts, first))] for rule, counts in told.items()]
        for rule, counts in told.items():
            every.setdefault(rule, []).extend(counts)
    if len(results) > 1:
        first = next(iter(every.values()))
        rows += [["all", rule, *_judged(_against(counts, first))] for rule, counts in every.items()]
    return rows


def _against(counts: list[Counts], first: list[Counts]) -> list[str]:
    """F1 and its interval; the difference to the first, its interval and p, but of the first itself."""
    low, high = f1_interval(counts)
    own = [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
    if counts is first:
        return [*own, "", "", ""]
    against = compare_f1(counts, first)
    return [
        *own,
        f"{against.difference:+.3f}",
        "{:+.3f} to {:+.3f}".format(*against.ci95),
        f"{against.p_value:.3f}",
    ]


def _judged(against: list[str]) -> list[str]:
    """With a verdict: better or worse where the interval leaves out 0 and p is below 0.05."""
    *_, difference, ends, p = against
    if not difference:
        return [*against, ""]
    low, high = map(float, ends.split(" to "))
    told = "not distinguishable" if low <= 0 <= high or float(p) >= 0.05 else "better" if low > 0 else "worse"
    return [*against, told]


def comparison(corpora: list[list[dict[str, Any]]]) -> Table:
    """A row a corpus and variant, and, of several corpora, one a variant: F1, and the difference to the first, paired.

    Args:
        corpora: the variants of each corpus, in order.
    """
    head = ["corpus", "variant", "F1", "95 % interval", *BESIDE]
    head += ["tokens evaluated a sentence"]
    rows = [head, ["---"] * len(head)]
    every: dict[str, list[Counts]] = {}
    for ran in corpora:
        first = _counts(ran[0]["counts"]) if ran else []
        for result in ran:
            counts = first if result is ran[0] else _counts(result["counts"])
            evaluated = result["prompt_tokens_evaluated"]
            tokens = "" if evaluated is None else f"{evaluated / len(counts):.0f}"
            rows.append([result["corpus"], result["variant"], *_judged(_against(counts, first)), tokens])
            every.setdefault(result["variant"], []).extend(counts)
    first = next(iter(every.values()), [])
    if sum(map(bool, corpora)) > 1:
        paired = {name: counts for name, counts in every.items() if len(counts) == len(first)}
        rows += [["all", name, *_judged(_against(counts, first)), ""] for name, counts in paired.items()]
    return rows


def curve(results: list[dict[str, Any]]) -> Table:
    """A row a corpus and size of the pool: F1 of the ensemble, and the difference to its best member, paired."""
    head = ["corpus", "pool", "F1", "95 % interval", "best member", "its F1", "difference to it", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    for result in sorted(results, key=lambda r: (r["corpus"], r["pool"])):
        alone = {name: _counts(counts) for name, counts in result["members"].items()}
        f1 = {name: sum(counts, Counts()).f1 for name, counts in alone.items()}
        best = max(f1, key=f1.__getitem__)
        own, ci95, *against = _against(_counts(result["counts"]), alone[best])
        rows.append([result["corpus"], str(result["pool"]), own, ci95, best, f"{f1[best]:.3f}", *against])
    return rows


def _counts(told: list[list[int]]) -> list[Counts]:
    return [Counts(*one) for one in told]


def against(results: list[dict[str, Any]], first: dict[str, dict[str, Any]]) -> Table:
    """A row a corpus and one for all: F1 of a way and of the default, on the sentences that both answered, paired.

    Args:
        results: of the way.
        first: corpus -> the default's.
    """
    head = ["corpus", "sentences", "F1", "95 % interval", "the default's F1", "difference", "95 % interval", "p"]
    rows = [head, ["---"] * len(head)]
    every: tuple[list[Counts], list[Counts]] = [], []
    for result in results:
        own = result["report"].get("documents", {})
        other = first.get(result["corpus"], {"report": {}})["report"].get("documents", {})
        if both := [_counts([own[i], other[i]]) for i in own if i in other]:
            ways = [pair[0] for pair in both], [pair[1] for pair in both]
            rows.append([result["corpus"], *_paired(*ways)])
            every = every[0] + ways[0], every[1] + ways[1]
    return [*rows, ["all", *_paired(*every)]] if len(rows) > 3 else rows


def _paired(own: list[Counts], other: list[Counts]) -> list[str]:
    told = _against(own, other)
    return [str(len(own)), *told[:2], f"{sum(other, Counts()).f1:.3f}", *told[2:]]


def bounds(results: list[dict[str, Any]]) -> Table:
    """A row a corpus: what each stage leaves to the next, and what is lost."""
    head = ["corpus", "sentences", "precision", "recall", "recall of the union of spans", "right label of those"]
    head += ["missed", "spurious", "wrong label", "wrong boundary", "both wrong"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        report = result["report"]
        stages, micro = report["stages"], report["micro"]
        shares = micro["precision"], micro["recall"], stages["extraction"]["recall"]
        lost = [
            str(report["errors"][x])
            for x in ("missed", "spurious", "wrong_label", "wrong_boundary", "wrong_label_and_boundary")
        ]
        told = [f"{x:.3f}" for x in (*shares, stages["classification"]["accuracy"])]
        rows.append([result["corpus"], str(report["cost"]["sentences"]), *told, *lost])
    return rows


def headline(results: list[dict[str, Any]]) -> Table:
    """A row a corpus, for those who want to know what to expect."""
    head = ["corpus", "sentences", "F1", "95 % interval", "the better member alone", "calibration error"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        report = result["report"]
        alone = max(m["f1"] for m in report["members"].values())
        told = [f"{alone:.3f}", f"{report['calibration']['ece']:.3f}"]
        rows.append([*_row(result, [])[:4], *told])
    return rows + _mean_of_crossner(results, len(head))


def quality(results: list[dict[str, Any]]) -> Table:
    """A row a corpus; what a run cost only where the default engine ran and the reply cache answered nothing."""
    members = sorted({name for r in results for name in r["report"]["members"]})
    head = ["corpus", "sentences", "F1", "95 % interval", *(f"{m} alone" for m in members)]
    head += ["calibration error", "its 95 % interval", "by chance alone", "p", "judged by", "run by"]
    head += ["s a sentence", "tokens evaluated / submitted a sentence"]
    rows = [head, ["---"] * len(head), *(_row(r, members) for r in results)]
    return rows + _mean_of_crossner(results, len(head))


def _mean_of_crossner(results: list[dict[str, Any]], columns: int) -> Table:
    """A row where all its parts are there."""
    parts = [r["report"]["micro"]["f1"] for r in results if r["corpus"].startswith("crossner-")]
    if len(parts) < CROSSNER:
        return []
    return [["crossner, mean", "", f"**{sum(parts) / CROSSNER:.3f}**", *[""] * (columns - 3)]]


def _by_chance(report: dict[str, Any]) -> list[str]:
    """The interval of the calibration error, what chance makes of it, and p; older reports did not look at texts."""
    found = report["reliability"]
    if "ece_ci95" not in found:
        return ["", "", ""]
    return [
        "{:.3f} to {:.3f}".format(*found["ece_ci95"]),
        f"{found['ece_if_calibrated']:.3f}",
        f"{found['p_value']:.3f}",
    ]


def _row(result: dict[str, Any], members: list[str]) -> list[str]:
    report = result["report"]
    micro, cost = report["micro"], report["cost"]
    low, high = micro["f1_ci95"]
    n = cost["sentences"]
    spent = [f"{cost['seconds'] / n:.2f}"]
    spent += [f"{cost['prompt_tokens_evaluated'] / n:.0f} / {cost['prompt_tokens_submitted'] / n:.0f}"]
    engines = {m.get("engine") or "llama.cpp" for m in report["config"]["members"]}
    told = engines == {"llama.cpp"} and not cost.get("cache_hits")
    return [
        result["corpus"],
        str(n),
        f"**{micro['f1']:.3f}**",
        f"{low:.3f} to {high:.3f}",
        *(f"{report['members'][m]['f1']:.3f}" if m in report["members"] else "" for m in members),
        f"{report['calibration']['ece']:.3f}",
        *_by_chance(report),
        _decided_by(report["config"]),
        ", ".join(sorted(engines)),
        *(spent if told else ["", ""]),
    ]


def _decided_by(config: dict[str, Any]) -> str:
    """Who decided about candidates."""
    if config.get("stacking", NONE_LEARNT)["sentences"]:
        return "the pool"
    return "a vote" if config["classification"]["vote"] else "other corpora"


if __name__ == "__main__":
    main()
