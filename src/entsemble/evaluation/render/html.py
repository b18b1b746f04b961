"""A report as one self-contained HTML page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlencode

from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.calibration import OperatingPoint, Reliability, risk_coverage_curve
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.documents import DocumentPair, pair_documents
from entsemble.evaluation.error_analysis import NO_MENTION, ConfusionCounts, count_confusions
from entsemble.evaluation.matching import exact_counts, triples
from entsemble.evaluation.report import Report, scored_mentions
from entsemble.evaluation.stages import StageCounts
from entsemble.types import Document, Mention

_FOLDER = files("entsemble.evaluation.render")

REVIEW_PORT = 8766
"""Where `entsemble review` listens unless another port is named: the errors of a report are links to its page."""

_MAX_ERRORS = 50
"""Errors shown in context."""

_CONTEXT_LENGTH = 80
"""Characters of context before and after a mention."""

_MAX_CONFUSION_LABELS = 30
"""Labels in the confusion table; rarer ones are summed up as `_OTHER_LABELS`."""

_OTHER_LABELS = "others"

_BAR_WIDTH = 12
"""Width of a full bar, in rem."""

_PLOT_LEFT, _PLOT_TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 45, 15, 300, 200
"""The plot area within a chart, in the units of its view box."""


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def render_html(
    report: Report, gold: Sequence[Document], predicted: Sequence[Document], title: str = "Evaluation"
) -> str:
    """The report as HTML; the page loads nothing from elsewhere.

    Args:
        report: of these documents.
        gold: documents with gold mentions.
        predicted: the same documents with predicted mentions.
        title: heading of the page.
    """
    pairs = pair_documents(gold, predicted)
    confusions = sum(
        (count_confusions(pair.gold.mentions, pair.predicted_mentions) for pair in pairs), ConfusionCounts()
    )
    sections = [
        _headline(report),
        _error_list(pairs),
        _label_table(pairs, report),
        _confusion_table(confusions),
        _calibration_charts(report.reliability, pairs),
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


def _label_table(pairs: Sequence[DocumentPair], report: Report) -> Html:
    by_document = [exact_counts(pair.gold.mentions, pair.predicted_mentions) for pair in pairs]
    rows = []
    for label, counts in sorted(report.counts.exact.items(), key=lambda item: -item[1].support):
        lower, upper = f1_interval([document.get(label, Counts()) for document in by_document], seed=report.seed)
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


def _calibration_charts(reliability: Reliability | None, pairs: Sequence[DocumentPair]) -> Html:
    if reliability is None:
        return Html()
    scored = [prediction for pair in pairs for prediction in scored_mentions(pair)]
    curve = risk_coverage_curve([score for score, _ in scored], [is_correct for _, is_correct in scored])
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


@dataclass(frozen=True, slots=True)
class _Error:
    """A wrong prediction or a missed gold mention.

    Attributes:
        document: the document that it is in.
        mention: the predicted or gold mention.
        explanation: the gold mentions there, or "missed".
        priority: higher ones are shown first.
        is_missed: whether it is a missed gold mention.
    """

    document: Document
    mention: Mention
    explanation: str
    priority: float
    is_missed: bool


def _error_list(pairs: Sequence[DocumentPair]) -> Html:
    errors = sorted(
        (error for pair in pairs for error in _find_errors(pair)),
        key=lambda error: (-error.priority, error.document.id, error.mention.start),
    )
    if not errors:
        return Html()
    omitted = f"; {len(errors) - _MAX_ERRORS} more are not shown" if len(errors) > _MAX_ERRORS else ""
    items = (_error_in_context(error) for error in errors[:_MAX_ERRORS])
    address = f"http://127.0.0.1:{REVIEW_PORT}/"
    return _fill("errors", omitted=omitted, address=address, items=_join(items, separator="\n"))


def _find_errors(pair: DocumentPair) -> Iterator[_Error]:
    """Wrong predictions, with the gold mentions that they overlap, and missed mentions that no wrong one overlaps."""
    gold_triples, predicted_triples = triples(pair.gold.mentions), triples(pair.predicted_mentions)
    wrong = [mention for mention in pair.predicted_mentions if not triples([mention]) <= gold_triples]
    for mention in wrong:
        overlapping = [gold for gold in pair.gold.mentions if gold.span.overlaps(mention.span)]
        gold_text = "; ".join(f"{gold.text}: {gold.label}" for gold in overlapping) or "no mention"
        score = 1.0 if mention.score is None else mention.score
        yield _Error(pair.gold, mention, f"gold: {gold_text}", score, is_missed=False)
    for mention in pair.gold.mentions:
        is_found = triples([mention]) <= predicted_triples
        if not is_found and not any(mention.span.overlaps(prediction.span) for prediction in wrong):
            yield _Error(pair.gold, mention, "missed", -1.0, is_missed=True)


def _error_in_context(error: _Error) -> Html:
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
