from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import DataError
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import CorpusCounts, Report, build_report, count_document
from entsemble.evaluation.stages import ClassificationCounts, StageCounts, VerificationCounts
from entsemble.types import Document, Mention, mention_at

TEXT = "Ann Lee met Bob in Bonn"

TRIPLES: dict[str, dict[str, list[tuple[int, int, str]]]] = {
    "gold": {
        "a": [(0, 7, "PER"), (12, 15, "PER"), (19, 23, "LOC")],
        "b": [(0, 7, "PER"), (19, 23, "LOC")],
        "c": [(12, 15, "PER")],
    },
    # a: errors of several kinds; b: correct; c: no prediction
    "predicted": {"a": [(0, 3, "PER"), (12, 15, "LOC"), (8, 11, "LOC")], "b": [(0, 7, "PER"), (19, 23, "LOC")]},
    "nested": {"a": [(0, 7, "PER"), (0, 3, "PER")], "b": [(0, 7, "PER"), (19, 23, "LOC")]},
}

SCHEMA_KEYS = ["schema", "micro", "labels", "members", "stages", "calibration", "cost", "config", "seed"]
EXTRA_KEYS = ["relaxed", "spans", "errors", "reliability", "stage_counts", "documents", "missing_documents"]
COST = {
    "documents", "sentences", "seconds", "prompt_tokens_submitted", "prompt_tokens_evaluated", "generated_tokens",
    "parameters",
    "model_calls",
    "cache_hits",
}  # fmt: skip


def documents(name: str, score: float | None = None) -> list[Document]:
    return [
        Document(
            document_id,
            TEXT,
            tuple(Mention(start, end, label, TEXT[start:end], score) for start, end, label in mentions),
        )
        for document_id, mentions in TRIPLES[name].items()
    ]


def report(**changes: Any) -> Report:
    return build_report(documents("gold"), documents("predicted"), config={"vote": "soft"}, seed=3, **changes)


def as_json(report: Report) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(report.to_json(), allow_nan=False))
    return loaded


def test_the_keys_are_those_of_the_schema() -> None:
    stages = StageCounts(Counts(3, 1, 1), ClassificationCounts(2, 3), VerificationCounts(2, 1, 1, 1))
    full = as_json(report(members={"tiny": documents("nested")}, stages=stages, cost={"seconds": 2.5, "sentences": 3}))
    assert list(full) == SCHEMA_KEYS + EXTRA_KEYS
    assert full["schema"] == "entsemble.report/1"
    assert set(full["micro"]) == {"precision", "recall", "f1", "tp", "fp", "fn", "f1_ci95"}
    assert all(set(x) == {"precision", "recall", "f1", "support"} for x in full["labels"].values())
    assert {k: set(v) for k, v in full["members"].items()} == {"tiny": {"f1"}}
    assert {k: set(v) for k, v in full["stages"].items()} == {
        "extraction": {"precision", "recall"},
        "classification": {"accuracy"},
        "verification": {"precision", "recall"},
    }
    assert set(full["calibration"]) == {"ece"}
    assert set(full["cost"]) == COST
    assert full["config"] == {"vote": "soft"}
    assert full["seed"] == 3


def test_unmeasured_figures_are_null() -> None:
    bare = as_json(build_report(documents("gold"), documents("predicted")))
    assert list(bare) == SCHEMA_KEYS + EXTRA_KEYS
    assert bare["members"] == {}
    assert {v for stage in bare["stages"].values() for v in stage.values()} == {None}
    assert bare["calibration"] == {"ece": None}
    assert bare["reliability"] is bare["stage_counts"] is None
    assert bare["cost"] == {**dict.fromkeys(COST), "documents": 3}


def test_the_figures_of_a_small_corpus() -> None:
    full = as_json(report())
    micro = full["micro"]
    assert (micro["tp"], micro["fp"], micro["fn"]) == (2, 3, 4)
    assert (micro["precision"], micro["recall"], micro["f1"]) == pytest.approx((2 / 5, 2 / 6, 4 / 11))
    assert full["labels"] == {
        "LOC": {"precision": pytest.approx(1 / 3), "recall": 0.5, "f1": pytest.approx(0.4), "support": 2},
        "PER": {"precision": 0.5, "recall": 0.25, "f1": pytest.approx(1 / 3), "support": 4},
    }
    assert full["relaxed"]["tp"] == 3  # "Ann" overlaps "Ann Lee"
    assert full["spans"]["tp"] == 3  # "Bob" as a place
    assert full["errors"] == {
        "missed": 2,
        "spurious": 1,
        "wrong_label": 1,
        "wrong_boundary": 1,
        "wrong_label_and_boundary": 0,
    }
    assert "nested" not in full


def test_mentions_of_a_missing_document_are_missed_and_its_id_is_listed() -> None:
    one = report()
    assert one.missing_documents == ("c",)
    assert as_json(one)["missing_documents"] == ["c"]
    assert as_json(one)["documents"] == {"a": [0, 3, 3], "b": [2, 0, 0], "c": [0, 0, 1]}
    assert one.document_counts == {"a": Counts(0, 3, 3), "b": Counts(2, 0, 0), "c": Counts(0, 0, 1)}


def test_without_predicted_documents_all_mentions_are_missed() -> None:
    one = build_report(documents("gold"), [])
    assert one.counts.exact.micro == Counts(fn=6)
    assert one.missing_documents == ("a", "b", "c")


def test_documents_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(DataError, match="'z' is not among"):
        build_report(documents("gold"), [Document("z", TEXT)])
    with pytest.raises(DataError, match=r"document 'b': .* offset 4 on"):
        build_report(documents("gold"), [Document("b", "Ann met Bob")])
    with pytest.raises(DataError, match="'z' is not among"):
        report(members={"tiny": [Document("z", TEXT)]})


def test_nested_is_present_if_either_side_has_nested_mentions() -> None:
    nested = as_json(build_report(documents("gold"), documents("nested")))["nested"]
    assert nested["inside"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "gold": 0, "gold_matched": 0, "predicted": 1, "predicted_matched": 0
    }  # fmt: skip
    assert nested["outermost"]["predicted_matched"] == 3
    assert "nested" in as_json(build_report(documents("nested"), documents("predicted")))


def test_members_are_scored_alone() -> None:
    # three of six gold mentions, and one wrong prediction
    assert as_json(report(members={"tiny": documents("nested")}))["members"] == {"tiny": {"f1": pytest.approx(0.6)}}


def test_calibration_is_derived_from_the_scores() -> None:
    # five predictions with a score of 0.8, two of them correct
    full = as_json(build_report(documents("gold"), documents("predicted", score=0.8)))
    assert full["calibration"]["ece"] == pytest.approx(0.4)
    assert full["reliability"]["scored_mentions"] == 5
    assert full["reliability"]["brier"] == pytest.approx((2 * 0.04 + 3 * 0.64) / 5)


def test_a_duplicate_prediction_counts_once_with_its_highest_score() -> None:
    gold = Document("a", TEXT, (mention_at(TEXT, 0, 7, "PER"),))
    twice = Document("a", TEXT, tuple(Mention(0, 7, "PER", "Ann Lee", score) for score in (0.9, 0.3)))
    table = build_report([gold], [twice]).reliability
    assert table is not None
    assert [(score_bin.low, score_bin.correct) for score_bin in table.bins if score_bin.count] == [(0.9, 1)]


def test_a_score_out_of_range_is_refused() -> None:
    with pytest.raises(DataError, match="document 'a': the score of 'Ann' must lie"):
        build_report(documents("gold"), documents("predicted", score=7.0))


def test_the_interval_resamples_documents_with_the_seed() -> None:
    gold = [Document(str(index), TEXT, (mention_at(TEXT, 0, 7, "PER"),) * (index % 3 > 0)) for index in range(60)]
    predicted = [Document(str(index), TEXT, (mention_at(TEXT, 0, 7, "PER"),) * (index % 5 > 0)) for index in range(60)]
    one = build_report(gold, predicted, seed=3)
    assert one.f1_ci95 == f1_interval(list(one.document_counts.values()), seed=3)
    assert one.f1_ci95[0] < one.counts.exact.micro.f1 < one.f1_ci95[1]
    assert build_report(gold, predicted, seed=3) == one
    assert build_report(gold, predicted, seed=4).f1_ci95 != one.f1_ci95


def test_an_unknown_cost_key_is_refused() -> None:
    assert report(cost={"documents": 9, "seconds": 1.5}).cost["documents"] == 9
    with pytest.raises(ValueError, match="unknown cost key 'dollars'"):
        report(cost={"dollars": 3})


SIZE = 12
MENTIONS = st.lists(
    st.tuples(st.integers(0, SIZE - 5), st.integers(1, 5), st.sampled_from("AB")).map(
        lambda values: Mention(values[0], values[0] + values[1], values[2], "x" * values[1])
    ),
    max_size=4,
)


@given(st.lists(st.tuples(MENTIONS, MENTIONS), min_size=1, max_size=4))
def test_the_corpus_is_the_sum_of_its_documents(corpus: list[tuple[list[Mention], list[Mention]]]) -> None:
    # the documents, concatenated without overlap, form one document with the same counts
    joined = [
        [mention.shifted(index * SIZE) for index, sides in enumerate(corpus) for mention in sides[side]]
        for side in (0, 1)
    ]  # fmt: skip
    assert sum((count_document(gold, predicted) for gold, predicted in corpus), CorpusCounts()) == count_document(
        joined[0], joined[1]
    )

    text = "x" * SIZE
    whole = build_report(
        [Document(str(index), text, tuple(gold)) for index, (gold, _) in enumerate(corpus)],
        [Document(str(index), text, tuple(predicted)) for index, (_, predicted) in enumerate(corpus)],
    )
    assert whole.counts == count_document(joined[0], joined[1])
    assert sum(whole.document_counts.values(), Counts()) == whole.counts.exact.micro
