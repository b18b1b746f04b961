"""The tables of the quality benchmark, from results that are made up."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.quality.table import _judged, against, bounds, comparison, headline, quality


def result(
    corpus: str,
    documents: dict[str, list[int]],
    *,
    cached: int = 0,
    learnt: int = 40,
    vote: str | None = None,
    engine: str | None = None,
) -> dict[str, Any]:
    right, wrong, missed = (sum(column) for column in zip(*documents.values(), strict=True))
    micro = {"precision": right / (right + wrong), "recall": right / (right + missed)}
    f1 = 2 * right / (2 * right + wrong + missed)
    cost = {"sentences": len(documents), "seconds": 4.0, "prompt_tokens_evaluated": 20, "prompt_tokens_submitted": 40}
    report = {
        "micro": {**micro, "f1": f1, "f1_ci95": [0.1, 0.9]},
        "members": {"tiny": {"f1": 0.25}},
        "stages": {"extraction": {"recall": 0.75}, "classification": {"accuracy": 0.5}},
        "calibration": {"ece": 0.125},
        "reliability": {"ece_ci95": [0.0, 0.25], "ece_if_calibrated": 0.5, "p_value": 0.75},
        "errors": {"missed": 1, "spurious": 2, "wrong_label": 3, "wrong_boundary": 4, "wrong_label_and_boundary": 5},
        "cost": {**cost, "cache_hits": cached},
        "config": {
            "stacking": {"sentences": learnt},
            "classification": {"vote": vote},
            "members": [{"engine": engine}],
        },
        "documents": documents,
    }
    return {"corpus": corpus, "report": report}


GOOD, BAD = {"a": [3, 0, 0], "b": [2, 0, 0]}, {"a": [1, 1, 2], "b": [2, 0, 0], "c": [9, 9, 9]}


def test_a_run_that_the_cache_answered_tells_no_cost() -> None:
    counted = result("genia", GOOD, cached=1, learnt=0, vote="soft")
    untaught = result("genia", GOOD, cached=1, learnt=0)
    head, _, asked, known, strange = quality([result("wnut17", GOOD), counted, untaught])
    assert dict(zip(head, asked, strict=True)) == {
        "corpus": "wnut17",
        "sentences": "2",
        "F1": "**1.000**",
        "95 % interval": "0.100 to 0.900",
        "tiny alone": "0.250",
        "calibration error": "0.125",
        "its 95 % interval": "0.000 to 0.250",
        "by chance alone": "0.500",
        "p": "0.750",
        "judged by": "the pool",
        "run by": "llama.cpp",
        "s a sentence": "2.00",
        "tokens evaluated / submitted a sentence": "10 / 20",
    }
    assert known[-4:] == ["a vote", "llama.cpp", "", ""]
    assert strange[-4:] == ["other corpora", "llama.cpp", "", ""]


def test_a_report_that_did_not_look_at_texts_tells_no_chance() -> None:
    old = result("wnut17", GOOD)
    old["report"]["reliability"] = {"ece_if_calibrated": 0.5, "p_value": 0.75}
    head, _, row = quality([old])
    told = dict(zip(head, row, strict=True))
    assert [told[x] for x in ("its 95 % interval", "by chance alone", "p")] == ["", "", ""]


def test_what_another_engine_takes_is_no_cost_of_the_default() -> None:
    assert quality([result("wnut17", GOOD, engine="transformers")])[-1][-3:] == ["transformers", "", ""]


def test_several_corpora_are_compared_together_too() -> None:
    def ran(corpus: str, variant: str, counts: list[list[int]]) -> dict[str, Any]:
        return {"corpus": corpus, "variant": variant, "counts": counts, "prompt_tokens_evaluated": None}

    good, bad = [[1, 0, 0]] * 12, [[0, 1, 1]] * 12
    one = [ran("genia", "first", bad), ran("genia", "second", good)]
    two = [ran("wnut17", "first", bad), ran("wnut17", "second", bad)]
    told = [[row[0], row[1], row[2], row[7]] for row in comparison([one, two])[-2:]]
    assert told == [["all", "first", "0.000", ""], ["all", "second", "0.500", "better"]]
    assert comparison([one, []])[-1][:2] == ["genia", "second"]


def test_the_mean_of_crossner_stands_there_when_all_parts_do() -> None:
    parts = [result(f"crossner-{x}", GOOD) for x in ("ai", "literature", "music", "politics", "science")]
    assert quality(parts)[-1][:3] == ["crossner, mean", "", "**1.000**"]
    assert quality(parts[1:])[-1][0] == "crossner-science"


def test_a_way_is_compared_on_the_sentences_that_both_answered() -> None:
    first = {"wnut17": result("wnut17", BAD), "bc5cdr": result("bc5cdr", BAD)}
    rows = against([result("wnut17", GOOD), result("genia", GOOD)], first)
    assert [row[:2] for row in rows[2:]] == [["wnut17", "2"]]
    assert rows[2][2] == "1.000"
    assert rows[2][4] == "0.667"
    assert float(rows[2][5]) == pytest.approx(0.333)
    both = against([result("wnut17", GOOD), result("bc5cdr", BAD)], first)
    assert [row[:2] for row in both[2:]] == [["wnut17", "2"], ["bc5cdr", "3"], ["all", "5"]]
    assert both[3][5] == "+0.000"


def test_the_headline_names_the_better_member_only() -> None:
    told = result("wnut17", GOOD)
    told["report"]["members"]["small"] = {"f1": 0.5}
    assert headline([told])[2] == ["wnut17", "2", "**1.000**", "0.100 to 0.900", "0.500", "0.125"]


def test_what_bounds_the_quality() -> None:
    assert bounds([result("wnut17", BAD)])[2] == [
        *("wnut17", "3", "0.545", "0.522", "0.750", "0.500"),
        *("1", "2", "3", "4", "5"),
    ]


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (["+0.100", "+0.010 to +0.200", "0.049"], "better"),
        (["-0.100", "-0.200 to -0.010", "0.001"], "worse"),
        (["+0.100", "+0.010 to +0.200", "0.050"], "not distinguishable"),
        (["+0.100", "-0.010 to +0.200", "0.010"], "not distinguishable"),
        (["", "", ""], ""),
    ],
)
def test_a_difference_has_a_verdict(told: list[str], verdict: str) -> None:
    assert _judged(["0.5", "0.4 to 0.6", *told])[-1] == verdict
