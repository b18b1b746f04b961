from __future__ import annotations

import json

import pytest

from entsemble.evaluation.counts import Counts
from entsemble.evaluation.stages import ClassificationCounts, StageCounts, VerificationCounts, count_stages
from entsemble.types import Mention, Span

ANN, BONN, CERN, DAN = Span(0, 3), Span(4, 8), Span(9, 13), Span(14, 17)
LONG, ODD = Span(0, 8), Span(20, 22)
GOLD = [
    Mention(span.start, span.end, label, "x" * len(span))
    for span, label in ((ANN, "PER"), (BONN, "LOC"), (CERN, "ORG"), (DAN, "PER"))
]


def counts() -> StageCounts:
    # Dan is not proposed; Bonn is misclassified, CERN has no label; two spans are not gold, one of which is rejected
    labels = {ANN: "PER", BONN: "ORG", CERN: None, LONG: "PER", ODD: "LOC"}
    verifications = {ANN: True, BONN: True, ODD: True, LONG: False}
    return count_stages(GOLD, [ANN, BONN, CERN, LONG, ODD, ANN], labels, verifications)


def test_each_stage_counts_its_own_losses() -> None:
    result = counts()
    assert result.extraction == Counts(tp=3, fp=2, fn=1)
    assert result.classification == ClassificationCounts(correct=1, total=3)
    assert result.verification == VerificationCounts(
        accepted_correct=1, accepted_wrong=2, rejected_correct=0, rejected_wrong=1
    )


def test_a_rejected_correct_mention_lowers_the_recall_of_verification() -> None:
    result = count_stages(GOLD, [ANN, BONN], {ANN: "PER", BONN: "LOC"}, {ANN: True, BONN: False}).verification
    assert result == VerificationCounts(accepted_correct=1, rejected_correct=1)
    assert (result.precision, result.recall) == (1.0, 0.5)


def test_a_span_with_two_gold_labels_is_correct_with_either() -> None:
    gold = [Mention(0, 3, "PER", "xxx"), Mention(0, 3, "ORG", "xxx")]
    for label in ("PER", "ORG"):
        result = count_stages(gold, [ANN], {ANN: label}, {ANN: True})
        assert result == StageCounts(Counts(tp=1), ClassificationCounts(1, 1), VerificationCounts(accepted_correct=1))


def test_a_gold_candidate_without_a_label_is_misclassified() -> None:
    assert count_stages(GOLD, [ANN], {}, {}).classification == ClassificationCounts(correct=0, total=1)


def test_a_verified_span_without_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not labelled: \[9, 13\)"):
        count_stages(GOLD, [CERN], {CERN: None}, {CERN: True})


def test_stage_counts_add_up_and_become_json() -> None:
    twice = counts() + counts()
    assert twice == StageCounts(Counts(6, 4, 2), ClassificationCounts(2, 6), VerificationCounts(2, 4, 0, 2))
    assert json.loads(json.dumps(twice.to_json())) == {
        "extraction": {"precision": 0.6, "recall": 0.75},
        "classification": {"accuracy": pytest.approx(1 / 3)},
        "verification": {"precision": pytest.approx(1 / 3), "recall": 1.0},
    }
    assert twice.counts_to_json()["verification"] == {
        "accepted_correct": 2,
        "accepted_wrong": 4,
        "rejected_correct": 0,
        "rejected_wrong": 2,
    }


def test_verification_that_is_off_has_no_ratios() -> None:
    ratios = count_stages(GOLD, [ANN], {ANN: "PER"}, {}).to_json()
    assert ratios["verification"] == {"precision": None, "recall": None}
