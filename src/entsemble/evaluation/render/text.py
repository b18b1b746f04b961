"""A report as rows of text, for a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.evaluation.calibration import Reliability
from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.matching import NestedCounts
from entsemble.evaluation.report import Report
from entsemble.evaluation.stages import StageCounts

LABEL_HEADER = ["label", "precision", "recall", "f1", "support"]
SUMMARY_HEADER = ["figure", "value"]

_MAX_MISSING_IDS = 5  # missing documents listed by id; further ones are counted


def label_rows(counts: LabelCounts) -> list[list[str]]:
    """One row per label under `LABEL_HEADER`, followed by the micro average."""
    rows = [_counts_row(label, label_counts) for label, label_counts in counts.items()]
    return [*rows, _counts_row("micro", counts.micro)]


def summary_rows(report: Report) -> list[list[str]]:
    """The report's other figures under `SUMMARY_HEADER`; what was not measured has no row."""
    lower, upper = report.f1_ci95
    errors = report.counts.errors.to_json()
    return [
        ["micro F1, 95 % interval", f"{lower:.3f} to {upper:.3f}"],
        ["F1, overlap is enough", f"{report.counts.relaxed.micro.f1:.3f}"],
        ["F1, spans without labels", f"{report.counts.spans.f1:.3f}"],
        *_nested_rows(report.counts.nested),
        *([f"errors: {kind.replace('_', ' ')}", str(count)] for kind, count in errors.items()),
        *([f"member {name}, F1", f"{counts.f1:.3f}"] for name, counts in report.member_counts.items()),
        *(_stage_rows(report.stages) if report.stages else ()),
        *(_calibration_rows(report.reliability) if report.reliability else ()),
        *_missing_rows(report.missing_documents),
    ]


def _calibration_rows(reliability: Reliability) -> list[list[str]]:
    lower, upper = reliability.ece_ci95
    return [
        ["calibration error", f"{reliability.ece:.3f}"],
        ["calibration error, 95 % interval", f"{lower:.3f} to {upper:.3f}"],
        ["calibration error, expected if calibrated", f"{reliability.ece_if_calibrated:.3f}"],
        ["p of a calibration error this large", f"{reliability.p_value:.3f}"],
    ]


def _counts_row(name: str, counts: Counts) -> list[str]:
    return [name, f"{counts.precision:.3f}", f"{counts.recall:.3f}", f"{counts.f1:.3f}", str(counts.support)]


def _nested_rows(nested: NestedCounts) -> list[list[str]]:
    if not nested.has_nested:
        return []
    parts = (("inside another mention", nested.inside), ("outermost", nested.outermost))
    return [[f"{name}, precision / recall", f"{part.precision:.3f} / {part.recall:.3f}"] for name, part in parts]


def _stage_rows(stages: StageCounts) -> list[list[str]]:
    extraction, verification = stages.extraction, stages.verification
    return [
        ["extraction, precision / recall", f"{extraction.precision:.3f} / {extraction.recall:.3f}"],
        ["classification, accuracy", f"{stages.classification.accuracy:.3f}"],
        ["verification, precision / recall", f"{verification.precision:.3f} / {verification.recall:.3f}"],
        ["verification, gained / lost", f"{verification.rejected_wrong} / {verification.rejected_correct}"],
    ]


def _missing_rows(missing_documents: Sequence[str]) -> list[list[str]]:
    if not missing_documents:
        return []
    omitted = len(missing_documents) - _MAX_MISSING_IDS
    suffix = f" and {omitted} more" if omitted > 0 else ""
    return [["documents without predictions", ", ".join(missing_documents[:_MAX_MISSING_IDS]) + suffix]]
