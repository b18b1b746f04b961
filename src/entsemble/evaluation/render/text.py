"""A report as rows of text, for whoever draws the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entsemble.evaluation.calibration import Reliability
from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.matching import PartCounts
from entsemble.evaluation.report import Report
from entsemble.evaluation.stages import StageCounts

LABEL_HEADER = ["label", "precision", "recall", "f1", "support"]
SUMMARY_HEADER = ["figure", "value"]

_SHOWN = 5  # missing documents named before the rest is only counted


def label_rows(counts: LabelCounts) -> list[list[str]]:
    """A row a label under `LABEL_HEADER`, and last the micro average."""
    return [_counts_row(label, one) for label, one in counts.items()] + [_counts_row("micro", counts.micro)]


def summary_rows(report: Report) -> list[list[str]]:
    """The report's other figures under `SUMMARY_HEADER`; what was not measured has no row."""
    low, high = report.f1_ci95
    return [
        ["micro F1, 95 % interval", f"{low:.3f} to {high:.3f}"],
        ["F1, overlap is enough", f"{report.counts.relaxed.micro.f1:.3f}"],
        ["F1, spans without labels", f"{report.counts.spans.f1:.3f}"],
        *_nested_rows(report),
        *([f"errors: {kind.replace('_', ' ')}", str(count)] for kind, count in report.counts.errors.to_json().items()),
        *([f"member {name}, F1", f"{counts.f1:.3f}"] for name, counts in report.members.items()),
        *(_stage_rows(report.stages) if report.stages else ()),
        *(_calibration_rows(report.reliability) if report.reliability else ()),
        *_missing_rows(report.missing),
    ]


def _calibration_rows(reliability: Reliability) -> list[list[str]]:
    low, high = reliability.ece_ci95
    return [
        ["calibration error", f"{reliability.ece:.3f}"],
        ["calibration error, 95 % interval", f"{low:.3f} to {high:.3f}"],
        ["calibration error of true scores, by chance", f"{reliability.ece_if_calibrated:.3f}"],
        ["p, that true scores have as much", f"{reliability.p_value:.3f}"],
    ]


def plain(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns of spaces, the first to the left and the others to the right, without a last newline."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    yield line[0].ljust(widths[0])
    yield from (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))


def _counts_row(name: str, counts: Counts) -> list[str]:
    return [name, f"{counts.precision:.3f}", f"{counts.recall:.3f}", f"{counts.f1:.3f}", str(counts.support)]


def _nested_rows(report: Report) -> list[list[str]]:
    def row(name: str, part: PartCounts) -> list[str]:
        return [f"{name}, precision / recall", f"{part.precision:.3f} / {part.recall:.3f}"]

    found = report.counts.nested
    return [row("inside another mention", found.inside), row("outermost", found.outermost)] if found.has_nested else []


def _stage_rows(stages: StageCounts) -> list[list[str]]:
    found, kept = stages.extraction, stages.verification
    return [
        ["extraction, precision / recall", f"{found.precision:.3f} / {found.recall:.3f}"],
        ["classification, accuracy", f"{stages.classification.accuracy:.3f}"],
        ["verification, precision / recall", f"{kept.precision:.3f} / {kept.recall:.3f}"],
        ["verification, gained / lost", f"{kept.rejected_wrong} / {kept.rejected_correct}"],
    ]


def _missing_rows(missing: Sequence[str]) -> list[list[str]]:
    if not missing:
        return []
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return [["not answered", ", ".join(missing[:_SHOWN]) + more]]
