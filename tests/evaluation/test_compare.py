"""Comparison of two reports on the same documents."""

from __future__ import annotations

import json

import pytest

from entsemble.evaluation.compare import compare_reports, document_counts
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import Report, build_report
from entsemble.types import Document, Mention

GOLD = (Mention(0, 3, "person", "Ann"),)


def documents(count: int, *, correct: int) -> list[Document]:
    return [Document(str(index), "Ann", GOLD if index < correct else ()) for index in range(count)]


def report(count: int, correct: int) -> Report:
    return build_report(documents(count, correct=count), documents(count, correct=correct))


def test_reports_are_compared_on_their_common_documents() -> None:
    earlier = document_counts(json.loads(json.dumps(report(40, 20).to_json())))
    comparison = compare_reports(report(60, 60), earlier)
    assert (comparison.document_count, comparison.f1) == (40, 1.0)
    assert comparison.earlier_f1 == pytest.approx(2 * 20 / 60)
    assert comparison.difference.difference == pytest.approx(1 / 3)
    assert comparison.difference.ci95[0] > 0
    assert comparison.difference.p_value < 0.01
    assert str(comparison).startswith(
        "on the same 40 documents: F1 1.000 and 0.667, difference +0.333, 95 % interval +0."
    )


def test_equal_reports_do_not_differ() -> None:
    comparison = compare_reports(report(9, 5), document_counts(report(9, 5).to_json()))
    assert comparison.difference.difference == 0
    assert comparison.difference.p_value == 1


def test_reports_without_comparable_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="no document id in common"):
        compare_reports(report(3, 3), {"elsewhere": Counts(1, 0, 0)})
    with pytest.raises(ValueError, match="'1' has other gold mentions"):
        compare_reports(report(3, 3), {"0": Counts(1, 0, 0), "1": Counts(1, 0, 1)})


@pytest.mark.parametrize("value", [None, [], {}, {"schema": "other/1"}])
def test_other_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a report"):
        document_counts(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("documents", [None, [], {"a": None}, {"a": [1, 2]}, {"a": ["x", 1, 1]}])
def test_a_report_without_document_counts_is_refused(documents: object) -> None:
    with pytest.raises(ValueError, match="no counts by document"):
        document_counts({"schema": "entsemble.report/1", "documents": documents})
