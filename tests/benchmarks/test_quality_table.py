"""The tables of the quality benchmark, from made-up results."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.quality.differences import with_verdict
from benchmarks.quality.report_tables import bounds, headline, quality
from benchmarks.quality.table import against, comparison

CORRECT = {"a": [3, 0, 0], "b": [2, 0, 0]}
WITH_ERRORS = {"a": [1, 1, 2], "b": [2, 0, 0], "c": [9, 9, 9]}


def report_result(
    corpus: str,
    documents: dict[str, list[int]],
    *,
    cache_hits: int = 0,
    training_sentences: int = 40,
    vote: str | None = None,
    engine: str | None = None,
) -> dict[str, Any]:
    """A stored result of `run.py`, from the counts of each document."""
    tp, fp, fn = (sum(column) for column in zip(*documents.values(), strict=True))
    cost = {"sentences": len(documents), "seconds": 4.0, "prompt_tokens_evaluated": 20, "prompt_tokens_submitted": 40}
    report = {
        "micro": {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "f1_ci95": [0.1, 0.9],
        },
        "members": {"tiny": {"f1": 0.25}},
        "stages": {"extraction": {"recall": 0.75}, "classification": {"accuracy": 0.5}},
        "calibration": {"ece": 0.125},
        "reliability": {"ece_ci95": [0.0, 0.25], "ece_if_calibrated": 0.5, "p_value": 0.75},
        "errors": {"missed": 1, "spurious": 2, "wrong_label": 3, "wrong_boundary": 4, "wrong_label_and_boundary": 5},
        "cost": {**cost, "cache_hits": cache_hits},
        "config": {
            "stacking": {"sentences": training_sentences},
            "classification": {"vote": vote},
            "members": [{"engine": engine}],
        },
        "documents": documents,
    }
    return {"corpus": corpus, "report": report}


def variant_result(corpus: str, variant: str, counts: list[list[int]]) -> dict[str, Any]:
    """A stored result of `compare.py`."""
    return {"corpus": corpus, "variant": variant, "counts": counts, "prompt_tokens_evaluated": None}


def test_a_quality_row_has_all_columns() -> None:
    head, _, row = quality([report_result("wnut17", CORRECT)])
    assert dict(zip(head, row, strict=True)) == {
        "corpus": "wnut17",
        "sentences": "2",
        "F1": "**1.000**",
        "95 % interval": "0.100 to 0.900",
        "tiny alone": "0.250",
        "calibration error": "0.125",
        "its 95 % interval": "0.000 to 0.250",
        "by chance alone": "0.500",
        "p": "0.750",
        "decided by": "scorer trained on the pool",
        "engine": "llama.cpp",
        "seconds per sentence": "2.00",
        "tokens evaluated / submitted per sentence": "10 / 20",
    }


def test_a_run_with_cache_hits_has_no_cost() -> None:
    voted = report_result("genia", CORRECT, cache_hits=1, training_sentences=0, vote="soft")
    unadapted = report_result("genia", CORRECT, cache_hits=1, training_sentences=0)
    *_, voted_row, unadapted_row = quality([voted, unadapted])
    assert voted_row[-4:] == ["vote", "llama.cpp", "", ""]
    assert unadapted_row[-4:] == ["pre-trained scorer", "llama.cpp", "", ""]


def test_a_run_of_another_engine_has_no_cost() -> None:
    rows = quality([report_result("wnut17", CORRECT, engine="transformers")])
    assert rows[-1][-3:] == ["transformers", "", ""]


def test_a_report_without_a_calibration_interval_leaves_its_cells_empty() -> None:
    old = report_result("wnut17", CORRECT)
    old["report"]["reliability"] = {"ece_if_calibrated": 0.5, "p_value": 0.75}
    head, _, row = quality([old])
    cells = dict(zip(head, row, strict=True))
    assert [cells[name] for name in ("its 95 % interval", "by chance alone", "p")] == ["", "", ""]


def test_the_mean_of_crossner_needs_all_its_corpora() -> None:
    domains = ("ai", "literature", "music", "politics", "science")
    results = [report_result(f"crossner-{domain}", CORRECT) for domain in domains]
    assert quality(results)[-1][:3] == ["crossner, mean", "", "**1.000**"]
    assert quality(results[1:])[-1][0] == "crossner-science"


def test_the_headline_has_the_better_member_only() -> None:
    result = report_result("wnut17", CORRECT)
    result["report"]["members"]["small"] = {"f1": 0.5}
    assert headline([result])[2] == ["wnut17", "2", "**1.000**", "0.100 to 0.900", "0.500", "0.125"]


def test_bounds_are_recalls_of_the_stages_and_errors() -> None:
    assert bounds([report_result("wnut17", WITH_ERRORS)])[2] == [
        *("wnut17", "3", "0.545", "0.522", "0.750", "0.500"),
        *("1", "2", "3", "4", "5"),
    ]


def test_variants_are_compared_on_all_corpora_together() -> None:
    correct, wrong = [[1, 0, 0]] * 12, [[0, 1, 1]] * 12
    genia = [variant_result("genia", "first", wrong), variant_result("genia", "second", correct)]
    wnut17 = [variant_result("wnut17", "first", wrong), variant_result("wnut17", "second", wrong)]
    summary = [[row[0], row[1], row[2], row[7]] for row in comparison([genia, wnut17])[-2:]]
    assert summary == [["all", "first", "0.000", ""], ["all", "second", "0.500", "better"]]
    assert comparison([genia, []])[-1][:2] == ["genia", "second"], "one corpus needs no summary"


def test_a_variant_is_compared_with_the_default_on_the_sentences_of_both() -> None:
    defaults = {"wnut17": report_result("wnut17", WITH_ERRORS), "bc5cdr": report_result("bc5cdr", WITH_ERRORS)}
    [row] = against([report_result("wnut17", CORRECT), report_result("genia", CORRECT)], defaults)[2:]
    assert row[:3] == ["wnut17", "2", "1.000"]
    assert row[4] == "0.667"
    assert float(row[5]) == pytest.approx(0.333)
    rows = against([report_result("wnut17", CORRECT), report_result("bc5cdr", WITH_ERRORS)], defaults)[2:]
    assert [row[:2] for row in rows] == [["wnut17", "2"], ["bc5cdr", "3"], ["all", "5"]]
    assert rows[1][5] == "+0.000"


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (["+0.100", "+0.010 to +0.200", "0.049"], "better"),
        (["-0.100", "-0.200 to -0.010", "0.001"], "worse"),
        (["+0.100", "+0.010 to +0.200", "0.050"], "not distinguishable"),
        (["+0.100", "-0.010 to +0.200", "0.010"], "not distinguishable"),
        (["", "", ""], ""),
    ],
)
def test_a_difference_is_distinguishable_if_interval_and_test_agree(difference: list[str], verdict: str) -> None:
    assert with_verdict(["0.5", "0.4 to 0.6", *difference])[-1] == verdict
