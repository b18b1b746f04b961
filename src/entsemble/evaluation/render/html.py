"""A report as one self-contained HTML page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlencode

from entsemble.evaluation.bootstrap import f1_interval_of_frequencies
from entsemble.evaluation.calibration import OperatingPoint, Reliability, risk_coverage_curve
from entsemble.evaluation.error_analysis import NO_MENTION, ConfusionCounts
from entsemble.evaluation.render.tally import MAX_ERRORS, PageTally, ShownError
from entsemble.evaluation.report import Report
from entsemble.evaluation.stages import StageCounts

_FOLDER = files("entsemble.evaluation.render")

REVIEW_PORT = 8766
"""Where `entsemble review` listens unless another port is named: the errors of a report are links to its page."""

_CONTEXT_LENGTH = 80
"""Characters of context before and after a mention."""

_MAX_CONFUSION_LABELS = 30
"""Labels in the confusion table; rarer ones are summed up as `_OTHER_LABELS`."""

_OTHER_LABELS = "others"

_MAX_CURVE_POINTS = 1000
"""Points of the risk curve, which has one for each distinct score."""

_BAR_WIDTH = 12
"""Width of a full bar, in rem."""

_PLOT_LEFT, _PLOT_TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 45, 15, 300, 200
"""The plot area within a chart, in the units of its view box."""


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def render_html(report: Report, tally: PageTally, title: str = "Evaluation") -> str:
    """The report as HTML; the page loads nothing from elsewhere.

    Args:
        report: built with `tally.add` as its `on_pair`.
        tally: of the same documents.
        title: heading of the page.
    """
    sections = [
        _headline(report),
        _error_list(tally),
        _label_table(report, tally),
        _confusion_table(tally.confusions),
        _calibration_charts(report.reliability, tally),
        _stage_table(report.stages),
        _member_table(report),
        _cost_table(report),
    ]
    style = Html((_FOLDER / "report.css").read_text("utf-8"))
    return _fill("page", title=title, style=style, sections=_join(sections, separator="\n")) + "\n"


@cache
def _pieces() -> dict[str, Template]:
    """The pieces of `report.html`, by name."""
    parts = re.split(r"<!-- piece: (\w+) -->\n", (_FOLDER / "report.html").read_text("utf-8"))
    return {name: Template(text.removesuffix("\n")) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _fill(piece: str, **values: object) -> Html:
    """A piece of the template with its values, which are escaped unless they are `Html`."""
    escaped = {name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
    return Html(_pieces()[piece].substitute(escaped))


def _join(parts: Iterable[Html], separator: str = "") -> Html:
    return Html(separator.join(part for part in parts if part))


def _table(title: str, header: Sequence[str], rows: Iterable[Html]) -> Html:
    heading_cells = _join(_fill("heading_cell", content=name) for name in header)
    return _fill("table", title=title, header=heading_cells, rows=_join(rows, separator="\n"))


def _row(*contents: object) -> Html:
    return _fill("row", cells=_join(_fill("cell", content=content) for content in contents))


def _bar(share: float) -> Html:
    return _fill("bar", width=f"{_BAR_WIDTH * share:.2f}")


def _headline(report: Report) -> Html:
    micro, (lower, upper) = report.counts.exact.micro, report.f1_ci95
    figures = [
        ("F1", f"{micro.f1:.3f}", f"{lower:.3f} to {upper:.3f}, 95 %"),
        ("precision", f"{micro.precision:.3f}", f"{micro.tp} of {micro.predicted}"),
        ("recall", f"{micro.recall:.3f}", f"{micro.tp} of {micro.support}"),
        ("F1, spans only", f"{report.counts.spans.f1:.3f}", "labels ignored"),
        ("F1, relaxed", f"{report.counts.relaxed.micro.f1:.3f}", "overlap is enough"),
    ]
    if report.reliability:
        figures.append(("calibration error", f"{report.reliability.ece:.3f}", _calibration_note(report.reliability)))
    filled = _join(_fill("figure", name=name, value=value, note=note) for name, value, note in figures)
    missing_count = len(report.missing_documents)
    return _fill("headline", figures=filled, missing=_fill("missing", count=missing_count) if missing_count else "")


def _calibration_note(reliability: Reliability) -> str:
    lower, upper = reliability.ece_ci95
    return (
        f"{lower:.3f} to {upper:.3f}, 95 %; {reliability.scored_mentions} scores; calibrated scores would have "
        f"{reliability.ece_if_calibrated:.3f} on average, p {reliability.p_value:.3f}"
    )


def _label_table(report: Report, tally: PageTally) -> Html:
    rows = []
    for label, counts in sorted(report.counts.exact.items(), key=lambda item: -item[1].support):
        lower, upper = f1_interval_of_frequencies(tally.document_frequencies(label), seed=report.seed)
        rows.append(
            _row(
                label,
                Html(f"{_bar(counts.f1)} {counts.f1:.3f}"),
                f"{counts.precision:.3f}",
                f"{counts.recall:.3f}",
                f"{lower:.3f} to {upper:.3f}",
                counts.support,
            )
        )
    return _table("Labels", ("label", "F1", "precision", "recall", "95 % interval of F1", "gold mentions"), rows)


def _confusion_table(confusions: ConfusionCounts) -> Html:
    label_totals: Counter[str] = Counter()
    for (gold_label, predicted_label), count in confusions.items():
        label_totals.update({gold_label: count, predicted_label: count})
    labels = [label for label, _ in label_totals.most_common() if label != NO_MENTION]
    frequent, rare = labels[:_MAX_CONFUSION_LABELS], set(labels[_MAX_CONFUSION_LABELS:])
    grouped = ConfusionCounts()
    for gold_and_predicted, count in confusions.items():
        row, column = (_OTHER_LABELS if label in rare else label for label in gold_and_predicted)
        grouped[row, column] += count
    columns = [*frequent, *([_OTHER_LABELS] if rare else []), NO_MENTION]
    rows = []
    for gold_label in columns:
        row_total = sum(grouped[gold_label, predicted_label] for predicted_label in columns)
        cells = [_fill("heading_cell", content=gold_label or "no mention")]
        cells += [_heat_cell(grouped[gold_label, predicted_label], row_total) for predicted_label in columns]
        rows.append(_fill("row", cells=_join(cells)))
    header = ("gold label, by predicted label", *(label or "missed" for label in columns))
    return _table("Confusion between labels", header, rows)


def _heat_cell(count: int, total: int) -> Html:
    return _fill("heat_cell", share=f"{count / total:.3f}", count=count) if count else _fill("cell", content="")


def _calibration_charts(reliability: Reliability | None, tally: PageTally) -> Html:
    if reliability is None:
        return Html()
    curve = risk_coverage_curve(*tally.scores)
    curve = (*curve[: -1 : len(curve) // _MAX_CURVE_POINTS + 1], curve[-1])
    return _fill("calibration", charts=_join([_reliability_chart(reliability), _risk_chart(curve)], separator="\n"))


def _reliability_chart(reliability: Reliability) -> Html:
    bins = [score_bin for score_bin in reliability.bins if score_bin.count]
    largest = max(score_bin.count for score_bin in bins)
    dots = (
        _fill(
            "dot",
            x=f"{_x_position(score_bin.confidence):.1f}",
            y=f"{_y_position(score_bin.accuracy):.1f}",
            radius=f"{2 + 6 * (score_bin.count / largest) ** 0.5:.1f}",
            description=f"{score_bin.count} mentions: mean score {score_bin.confidence:.2f}, "
            f"accuracy {score_bin.accuracy:.2f}",
        )
        for score_bin in bins
    )
    diagonal = _fill("diagonal", left=_x_position(0), bottom=_y_position(0), right=_x_position(1), top=_y_position(1))
    return _chart("Reliability", "mean score", "accuracy", _join([diagonal, *dots]))


def _risk_chart(curve: Sequence[OperatingPoint]) -> Html:
    points = " ".join(f"{_x_position(point.coverage):.1f},{_y_position(point.risk):.1f}" for point in curve)
    x_label = "coverage: share of mentions accepted, highest scores first"
    return _chart("Risk and coverage", x_label, "risk: share of them that is wrong", _fill("polyline", points=points))


def _x_position(value: float) -> float:
    return _PLOT_LEFT + _PLOT_WIDTH * value


def _y_position(value: float) -> float:
    return _PLOT_TOP + _PLOT_HEIGHT - _PLOT_HEIGHT * value


def _chart(title: str, x_label: str, y_label: str, shapes: Html) -> Html:
    ticks = _join(
        _fill("tick", x=f"{_x_position(value):.0f}", y=f"{_y_position(value) + 4:.0f}", value=f"{value:g}")
        for value in (0, 0.25, 0.5, 0.75, 1)
    )
    return _fill(
        "chart",
        title=title,
        left=_PLOT_LEFT,
        top=_PLOT_TOP,
        width=_PLOT_WIDTH,
        height=_PLOT_HEIGHT,
        ticks=ticks,
        x_label=x_label,
        y_label=y_label,
        shapes=shapes,
    )


def _stage_table(stages: StageCounts | None) -> Html:
    if stages is None:
        return Html()
    extraction, classification, verification = stages.extraction, stages.classification, stages.verification
    misclassified = classification.total - classification.correct
    steps = [
        ("gold spans", extraction.support, ""),
        ("of these, proposed", extraction.tp, f"{extraction.fp} other spans were proposed"),
        ("of these, classified correctly", classification.correct, f"{misclassified} were misclassified"),
    ]
    if verification.total:
        accepted = classification.correct - verification.rejected_correct
        note = f"it rejected {verification.rejected_correct} correct and {verification.rejected_wrong} wrong mentions"
        steps.append(("of these, accepted by the verifier", accepted, note))
    largest = max(1, extraction.support)
    rows = [
        _fill(
            "row",
            cells=_join(
                [
                    _fill("cell", content=name),
                    _fill("cell", content=_bar(count / largest)),
                    _fill("cell", content=count),
                    _fill("quiet_cell", content=note),
                ]
            ),
        )
        for name, count, note in steps
    ]
    return _table("Stages", ("spans after each stage", "", "", ""), rows)


def _member_table(report: Report) -> Html:
    if not report.member_counts:
        return Html()
    rows = [_row(name, f"{counts.f1:.3f}") for name, counts in report.member_counts.items()]
    rows.append(_row("ensemble", f"{report.counts.exact.micro.f1:.3f}"))
    return _table("Members alone", ("member", "F1"), rows)


def _error_list(tally: PageTally) -> Html:
    if not tally.error_count:
        return Html()
    omitted = f"; {tally.error_count - MAX_ERRORS} more are not shown" if tally.error_count > MAX_ERRORS else ""
    address, items = f"http://127.0.0.1:{REVIEW_PORT}/", _join(map(_error_in_context, tally.errors), separator="\n")
    return _fill("errors", omitted=omitted, address=address, items=items)


def _error_in_context(error: ShownError) -> Html:
    text, mention = error.document.text, error.mention
    score = "" if error.is_missed or mention.score is None else f", score {mention.score:.2f}"
    return _fill(
        "missed_mention" if error.is_missed else "wrong_prediction",
        before=text[max(0, mention.start - _CONTEXT_LENGTH) : mention.start],
        mention=mention.text,
        after=text[mention.end : mention.end + _CONTEXT_LENGTH],
        note=f"{mention.label}{score}; {error.explanation}",
        link=f"http://127.0.0.1:{REVIEW_PORT}/#{urlencode({'name': error.document.id, 'start': mention.start})}",
        place=error.document.id,
    )


def _cost_table(report: Report) -> Html:
    rows = [_row(name.replace("_", " "), f"{value:,.10g}") for name, value in report.cost.items() if value is not None]
    return _table("Cost", ("cost", "value"), rows)
