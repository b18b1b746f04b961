"""A report beside an earlier one: whether the two differ on the documents that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entsemble.evaluation.bootstrap import F1Difference, compare_f1
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.report import SCHEMA, Report


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """What a report has more than an earlier one.

    Attributes:
        documents: that both have.
        f1: of the report on these.
        earlier: micro F1 of the earlier one on these.
        comparison: the difference between them.
    """

    documents: int
    f1: float
    earlier: float
    comparison: F1Difference

    def __str__(self) -> str:
        told = self.comparison
        ends = "{:+.3f} to {:+.3f}".format(*told.ci95)
        return (
            f"on the same {self.documents} documents: F1 {self.f1:.3f} and {self.earlier:.3f}, "
            f"difference {told.difference:+.3f}, 95 % interval {ends}, p {told.p_value:.3f}"
        )


def document_counts(report: Mapping[str, Any]) -> dict[str, Counts]:
    """The exact counts of each document of a report's JSON.

    Raises:
        ValueError: it is no report, or one without the counts of its documents.
    """
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ValueError(f"not a report with the schema {SCHEMA}")
    try:
        return {name: Counts(int(tp), int(fp), int(fn)) for name, (tp, fp, fn) in report["documents"].items()}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ValueError("a report without the counts of each document; make it anew") from error


def compare_reports(report: Report, earlier: Mapping[str, Counts]) -> ReportComparison:
    """Compare in pairs.

    Args:
        report: of the documents that an earlier one may have too.
        earlier: the exact counts of each document of that one.

    Raises:
        ValueError: they have no document in common, or a document has other gold mentions there.
    """
    both = [name for name in report.documents if name in earlier]
    if not both:
        raise ValueError("no document has an id that the earlier report has")
    own, other = [report.documents[name] for name in both], [earlier[name] for name in both]
    if strange := [n for n, a, b in zip(both, own, other, strict=True) if a.support != b.support]:
        raise ValueError(f"document {strange[0]!r} has other gold mentions in the earlier report")
    f1 = [sum(counts, Counts()).f1 for counts in (own, other)]
    return ReportComparison(len(both), f1[0], f1[1], compare_f1(own, other))
