"""Tables of the reports that `run.py` stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import Table
from benchmarks.quality.corpora import CROSSNER

Result = dict[str, Any]
_NO_TRAINING = {"sentences": 0}
"""The settings of reports that are older than the scorer."""


def headline(results: Sequence[Result]) -> Table:
    """A short row for each corpus."""
    head = ["corpus", "sentences", "F1", "95 % interval", "the better member alone", "calibration error"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        report = result["report"]
        best_f1 = max(member["f1"] for member in report["members"].values())
        rows.append([*_quality_row(result, [])[:4], f"{best_f1:.3f}", f"{report['calibration']['ece']:.3f}"])
    return rows + _crossner_mean(results, len(head))


def quality(results: Sequence[Result]) -> Table:
    """A row for each corpus; its cost only if the default engine ran without cached replies."""
    members = sorted({name for result in results for name in result["report"]["members"]})
    head = ["corpus", "sentences", "F1", "95 % interval", *(f"{name} alone" for name in members)]
    head += ["calibration error", "its 95 % interval", "by chance alone", "p", "decided by", "engine"]
    head += ["seconds per sentence", "tokens evaluated / submitted per sentence"]
    rows = [head, ["---"] * len(head), *(_quality_row(result, members) for result in results)]
    return rows + _crossner_mean(results, len(head))


def bounds(results: Sequence[Result]) -> Table:
    """A row for each corpus: what each stage leaves to the next, and the errors."""
    head = ["corpus", "sentences", "precision", "recall", "recall of proposed spans", "correct label of those"]
    head += ["missed", "spurious", "wrong label", "wrong boundary", "both wrong"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        report = result["report"]
        stages, micro = report["stages"], report["micro"]
        shares = (
            micro["precision"],
            micro["recall"],
            stages["extraction"]["recall"],
            stages["classification"]["accuracy"],
        )
        errors = [
            str(report["errors"][kind])
            for kind in ("missed", "spurious", "wrong_label", "wrong_boundary", "wrong_label_and_boundary")
        ]
        sentences = str(report["cost"]["sentences"])
        rows.append([result["corpus"], sentences, *(f"{share:.3f}" for share in shares), *errors])
    return rows


def _crossner_mean(results: Sequence[Result], column_count: int) -> Table:
    """A row with the mean F1 of CrossNER, if all its corpora have results."""
    scores = [result["report"]["micro"]["f1"] for result in results if result["corpus"] in CROSSNER]
    if len(scores) < len(CROSSNER):
        return []
    return [["crossner, mean", "", f"**{sum(scores) / len(CROSSNER):.3f}**", *[""] * (column_count - 3)]]


def _quality_row(result: Result, members: Sequence[str]) -> list[str]:
    report = result["report"]
    micro, cost, sentences = report["micro"], report["cost"], report["cost"]["sentences"]
    tokens = (cost["prompt_tokens_evaluated"] / sentences, cost["prompt_tokens_submitted"] / sentences)
    engines = {member.get("engine") or "llama.cpp" for member in report["config"]["members"]}
    has_cost = engines == {"llama.cpp"} and not cost.get("cache_hits")
    costs = [f"{cost['seconds'] / sentences:.2f}", "{:.0f} / {:.0f}".format(*tokens)]
    return [
        result["corpus"],
        str(sentences),
        f"**{micro['f1']:.3f}**",
        "{:.3f} to {:.3f}".format(*micro["f1_ci95"]),
        *(f"{report['members'][name]['f1']:.3f}" if name in report["members"] else "" for name in members),
        f"{report['calibration']['ece']:.3f}",
        *_calibration_cells(report["reliability"]),
        _decided_by(report["config"]),
        ", ".join(sorted(engines)),
        *(costs if has_cost else ["", ""]),
    ]


def _calibration_cells(reliability: Mapping[str, Any]) -> list[str]:
    """The interval of the calibration error, its expectation by chance, and p; older reports have no interval."""
    if "ece_ci95" not in reliability:
        return ["", "", ""]
    return [
        "{:.3f} to {:.3f}".format(*reliability["ece_ci95"]),
        f"{reliability['ece_if_calibrated']:.3f}",
        f"{reliability['p_value']:.3f}",
    ]


def _decided_by(config: Mapping[str, Any]) -> str:
    if config.get("stacking", _NO_TRAINING)["sentences"]:
        return "scorer trained on the pool"
    return "vote" if config["classification"]["vote"] else "pre-trained scorer"
