"""Two reports on the same documents."""

from __future__ import annotations

import json

import pytest

from entsemble.evaluation.compare import compare_reports, document_counts
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import Report, build_report
from entsemble.types import Document, Mention

GOLD = (Mention(0, 3, "person", "Ann"),)


def documents(count: int, *, found: int) -> list[Document]:
    return [Document(str(i), "Ann", GOLD if i < found else ()) for i in range(count)]


def report(count: int, found: int) -> Report:
    return build_report(documents(count, found=count), documents(count, found=found))


def test_what_is_better_on_the_documents_of_both() -> None:
    earlier = document_counts(json.loads(json.dumps(report(40, 20).to_json())))
    told = compare_reports(report(60, 60), earlier)
    assert (told.documents, told.f1) == (40, 1.0)
    assert told.earlier == pytest.approx(2 * 20 / 60)
    assert told.comparison.difference == pytest.approx(1 / 3)
    assert told.comparison.ci95[0] > 0
    assert told.comparison.p_value < 0.01
    assert str(told).startswith("on the same 40 documents: F1 1.000 and 0.667, difference +0.333, 95 % interval +0.")


def test_the_same_is_no_better() -> None:
    told = compare_reports(report(9, 5), document_counts(report(9, 5).to_json()))
    assert told.comparison.difference == 0
    assert told.comparison.p_value == 1


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no document has an id"):
        compare_reports(report(3, 3), {"elsewhere": Counts(1, 0, 0)})
    with pytest.raises(ValueError, match="'1' has other gold mentions"):
        compare_reports(report(3, 3), {"0": Counts(1, 0, 0), "1": Counts(1, 0, 1)})


@pytest.mark.parametrize("told", [None, [], {}, {"schema": "other/1"}])
def test_what_is_no_report(told: object) -> None:
    with pytest.raises(ValueError, match="not a report"):
        document_counts(told)  # type: ignore[arg-type]


@pytest.mark.parametrize("documents", [None, [], {"a": None}, {"a": [1, 2]}, {"a": ["x", 1, 1]}])
def test_a_report_without_counts(documents: object) -> None:
    with pytest.raises(ValueError, match="without the counts"):
        document_counts({"schema": "entsemble.report/1", "documents": documents})
