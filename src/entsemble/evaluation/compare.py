"""Comparison of a report with an earlier one, on the documents that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entsemble.evaluation.bootstrap import F1Difference, compare_f1
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import SCHEMA, Report


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """Two reports on the same documents.

    Attributes:
        document_count: documents that both have.
        f1: micro F1 of the later report on these.
        earlier_f1: micro F1 of the earlier report on these.
        difference: the paired difference.
    """

    document_count: int
    f1: float
    earlier_f1: float
    difference: F1Difference

    def __str__(self) -> str:
        lower, upper = self.difference.ci95
        return (
            f"on the same {self.document_count} documents: F1 {self.f1:.3f} and {self.earlier_f1:.3f}, "
            f"difference {self.difference.difference:+.3f}, 95 % interval {lower:+.3f} to {upper:+.3f}, "
            f"p {self.difference.p_value:.3f}"
        )


def document_counts(report: Mapping[str, Any]) -> dict[str, Counts]:
    """The exact counts of each document in a report's JSON, by document id.

    Raises:
        ValueError: it is not a report, or has no counts by document.
    """
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ValueError(f"not a report with the schema {SCHEMA}")
    try:
        return {
            document_id: Counts(int(true_positives), int(false_positives), int(false_negatives))
            for document_id, (true_positives, false_positives, false_negatives) in report["documents"].items()
        }
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ValueError("the report has no counts by document; create it again") from error


def compare_reports(report: Report, earlier_counts: Mapping[str, Counts]) -> ReportComparison:
    """Compare a report with an earlier one, document by document.

    Args:
        report: the later report.
        earlier_counts: exact counts of each document in the earlier report, by document id.

    Raises:
        ValueError: they have no document in common, or a document has other gold mentions in the earlier report.
    """
    common_ids = [document_id for document_id in report.document_counts if document_id in earlier_counts]
    if not common_ids:
        raise ValueError("the reports have no document id in common")
    later = [report.document_counts[document_id] for document_id in common_ids]
    earlier = [earlier_counts[document_id] for document_id in common_ids]
    for document_id, counts, previous in zip(common_ids, later, earlier, strict=True):
        if counts.support != previous.support:
            raise ValueError(f"document {document_id!r} has other gold mentions in the earlier report")
    return ReportComparison(
        document_count=len(common_ids),
        f1=sum(later, Counts()).f1,
        earlier_f1=sum(earlier, Counts()).f1,
        difference=compare_f1(later, earlier),
    )
