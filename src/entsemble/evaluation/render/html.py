"""A report as one page to look at in a browser. It loads nothing from anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.calibration import OperatingPoint, Reliability, risk_coverage_curve
from entsemble.evaluation.confusion import NO_MENTION, ConfusionCounts, count_confusions
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.documents import DocumentPair, pair_documents
from entsemble.evaluation.matching import exact_counts, triples
from entsemble.evaluation.report import Report, scored_mentions
from entsemble.evaluation.stages import StageCounts
from entsemble.types import Document, Mention

_WORST = 50
"""Errors shown in context."""

_CONTEXT = 80
"""Characters before and after."""

_LABELS = 30
"""Labels of the confusion table; the rarest are put together beyond."""

_STYLE = files("entsemble.evaluation.render") / "report.css"


@dataclass(frozen=True, slots=True)
class _Error:
    """A mention that is wrong, or was missed, and how sure the answer was."""

    document: Document
    mention: Mention
    told: str
    score: float
    missed: bool


def render_html(
    report: Report, gold: Sequence[Document], predicted: Sequence[Document], title: str = "Evaluation"
) -> str:
    """The report as HTML.

    Args:
        report: of these documents.
        gold: documents with gold mentions.
        predicted: the same with predicted ones.
        title: heads the page.
    """
    paired = pair_documents(gold, predicted)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _headline(report),
        _labels(paired, report),
        _confusion(sum((count_confusions(x.gold.mentions, x.predicted_mentions) for x in paired), Counter())),
        _calibration(report.reliability, paired),
        _funnel(report.stages),
        _members(report),
        _errors(paired),
        _cost(report),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    body = "\n".join(part for part in parts if part)
    style = f"<style>{_STYLE.read_text('utf-8')}</style>"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}<title>{escape(title)}</title>{style}</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _headline(report: Report) -> str:
    micro, (low, high) = report.counts.exact.micro, report.f1_ci95
    figures = [
        ("F1", f"{micro.f1:.3f}", f"{low:.3f} to {high:.3f}, 95 %"),
        ("precision", f"{micro.precision:.3f}", f"{micro.tp} of {micro.predicted}"),
        ("recall", f"{micro.recall:.3f}", f"{micro.tp} of {micro.support}"),
        ("F1, spans alone", f"{report.counts.spans.f1:.3f}", "labels aside"),
        ("F1, overlap is enough", f"{report.counts.relaxed.micro.f1:.3f}", ""),
    ]
    if report.reliability:
        found = report.reliability
        low, high = found.ece_ci95
        chance = f"true scores would have {found.ece_if_calibrated:.3f} by chance, p {found.p_value:.3f}"
        told = f"{low:.3f} to {high:.3f}, 95 %; {found.scored_mentions} scores; {chance}"
        figures.append(("calibration error", f"{found.ece:.3f}", told))
    shown = (f"<div><dt>{n}</dt><dd>{v}<small>{escape(t)}</small></dd></div>" for n, v, t in figures)
    missing = f"<p>{len(report.missing)} documents were not answered.</p>" if report.missing else ""
    return f'<dl class="figures">{"".join(shown)}</dl>{missing}'


def _labels(paired: Sequence[DocumentPair], report: Report) -> str:
    each = [exact_counts(x.gold.mentions, x.predicted_mentions) for x in paired]
    rows = []
    for label, counts in sorted(report.counts.exact.items(), key=lambda item: -item[1].support):
        low, high = f1_interval([one.get(label, Counts()) for one in each], seed=report.seed)
        figures = (f"{counts.precision:.3f}", f"{counts.recall:.3f}", f"{low:.3f} to {high:.3f}", str(counts.support))
        bar = f'<span class="track"><span class="bar" style="width:{12 * counts.f1:.2f}rem"></span></span>'
        cells = "".join(f"<td>{figure}</td>" for figure in figures)
        rows.append(f"<tr><td>{escape(label)}</td><td>{bar} {counts.f1:.3f}</td>{cells}</tr>")
    return _table("Labels", ("label", "F1", "precision", "recall", "95 % interval of F1", "gold"), rows)


def _confusion(taken: ConfusionCounts) -> str:
    weights: Counter[str] = Counter()
    for (one, other), count in taken.items():
        weights.update({one: count, other: count})
    known = [label for label, _ in weights.most_common() if label != NO_MENTION]
    shown, rest = known[:_LABELS], set(known[_LABELS:])
    joined: Counter[tuple[str, str]] = Counter()
    for (one, other), count in taken.items():
        joined[("others" if one in rest else one), ("others" if other in rest else other)] += count
    columns = [*shown, *(["others"] if rest else []), NO_MENTION]
    rows = []
    for one in columns:
        whole = sum(joined[one, other] for other in columns) or 1
        cells = "".join(_heat(joined[one, other], whole) for other in columns)
        rows.append(f"<tr><th>{escape(one) or 'no mention'}</th>{cells}</tr>")
    header = ("gold, and what it was taken for", *(label or "missed" for label in columns))
    return _table("Confusion between labels", header, rows)


def _heat(count: int, whole: int) -> str:
    return f'<td class="heat" style="--part:{count / whole:.3f}">{count}</td>' if count else "<td></td>"


def _calibration(found: Reliability | None, paired: Sequence[DocumentPair]) -> str:
    if found is None:
        return ""
    answers = [answer for one in paired for answer in scored_mentions(one)]
    curve = risk_coverage_curve([score for score, _ in answers], [right for _, right in answers])
    dots = [(b.confidence, b.accuracy, b.count) for b in found.bins if b.count]
    most = max(count for *_, count in dots)
    circles = "".join(
        f'<circle class="dot" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{2 + 6 * (count / most) ** 0.5:.1f}">'
        f"<title>{count} mentions: score {x:.2f}, right {y:.2f}</title></circle>"
        for x, y, count in dots
    )
    ideal = f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    reliable = _chart("Reliability", "score", "share that is right", ideal + circles)
    return f'<h2>Calibration</h2><div class="charts">{reliable}{_risk(curve)}</div>'


def _risk(curve: Sequence[OperatingPoint]) -> str:
    points = " ".join(f"{_x(t.coverage):.1f},{_y(t.risk):.1f}" for t in curve)
    line = f'<polyline class="line" points="{points}"/>'
    return _chart("Risk and coverage", "share of the mentions kept, surest first", "share of them that is wrong", line)


def _x(value: float) -> float:
    return 45 + 300 * value


def _y(value: float) -> float:
    return 215 - 200 * value


def _chart(title: str, across: str, up: str, inner: str) -> str:
    ticks = "".join(
        f'<text x="{_x(t):.0f}" y="232" text-anchor="middle">{t:g}</text>'
        f'<text x="40" y="{_y(t) + 4:.0f}" text-anchor="end">{t:g}</text>'
        for t in (0, 0.25, 0.5, 0.75, 1)
    )
    frame = f'<rect class="axis" x="{_x(0)}" y="{_y(1)}" width="300" height="200"/>'
    named = f'<text x="195" y="252" text-anchor="middle">{across}</text><text x="45" y="10">{up}</text>'
    return f'<svg role="img" aria-label="{title}" viewBox="0 0 360 260">{frame}{ticks}{named}{inner}</svg>'


def _funnel(stages: StageCounts | None) -> str:
    if stages is None:
        return ""
    found, typed, kept = stages.extraction, stages.classification, stages.verification
    steps = [
        ("gold spans", found.support, ""),
        ("of these, proposed", found.tp, f"{found.fp} others were proposed too"),
        ("of these, typed right", typed.correct, f"{typed.total - typed.correct} were typed wrong"),
    ]
    if kept.total:
        lost = f"it lost {kept.rejected_correct} right ones and stopped {kept.rejected_wrong} wrong ones"
        steps.append(("of these, let through by the verifier", typed.correct - kept.rejected_correct, lost))
    most = max(1, found.support)
    rows = [
        f'<tr><td>{name}</td><td><span class="track"><span class="bar" style="width:{12 * count / most:.2f}rem"></span>'
        f'</span></td><td>{count}</td><td class="quiet">{told}</td></tr>'
        for name, count, told in steps
    ]
    return _table("Stages", ("what is left", "", "", ""), rows)


def _members(report: Report) -> str:
    rows = [f"<tr><td>{escape(name)}</td><td>{counts.f1:.3f}</td></tr>" for name, counts in report.members.items()]
    rows.append(f"<tr><td>together</td><td>{report.counts.exact.micro.f1:.3f}</td></tr>")
    return _table("Members, each alone", ("member", "F1"), rows) if report.members else ""


def _errors(paired: Sequence[DocumentPair]) -> str:
    errors = sorted((e for one in paired for e in _of(one)), key=lambda e: (-e.score, e.document.id, e.mention.start))
    shown = "".join(f"<li>{_in_context(e)}</li>" for e in errors[:_WORST])
    if not errors:
        return ""
    more = f"; {len(errors) - _WORST} more are not shown" if len(errors) > _WORST else ""
    told = (
        f'<p class="quiet">The surest wrong answers first, then what was missed{more}. '
        "<ins>Predicted</ins> and wrong, <del>gold</del> and missed.</p>"
    )
    return f"<h2>Worst errors</h2>{told}<ol>{shown}</ol>"


def _of(one: DocumentPair) -> Iterator[_Error]:
    """What is wrong in a document, with what stands there in the gold mentions."""
    wanted, found = triples(one.gold.mentions), triples(one.predicted_mentions)
    for m in one.predicted_mentions:
        if (m.start, m.end, m.label) not in wanted:
            near = [g for g in one.gold.mentions if g.span.overlaps(m.span)]
            gold = "; ".join(f"{g.text}: {g.label}" for g in near) or "no mention"
            yield _Error(one.gold, m, f"gold: {gold}", 1.0 if m.score is None else m.score, missed=False)
    wrong = [p for p in one.predicted_mentions if (p.start, p.end, p.label) not in wanted]
    for m in one.gold.mentions:
        if (m.start, m.end, m.label) not in found and not any(m.span.overlaps(p.span) for p in wrong):
            yield _Error(one.gold, m, "missed", -1.0, missed=True)


def _in_context(error: _Error) -> str:
    text, m = error.document.text, error.mention
    before, after = text[max(0, m.start - _CONTEXT) : m.start], text[m.end : m.end + _CONTEXT]
    tag = "del" if error.missed else "ins"
    score = "" if error.missed or m.score is None else f", score {m.score:.2f}"
    told = f"{m.label}{score}; {error.told}; {error.document.id}"
    return (
        f'{escape(before)}<{tag}>{escape(m.text)}</{tag}>{escape(after)} <br><span class="quiet">{escape(told)}</span>'
    )


def _cost(report: Report) -> str:
    rows = [
        f"<tr><td>{name.replace('_', ' ')}</td><td>{value:,.10g}</td></tr>"
        for name, value in report.cost.items()
        if value is not None
    ]
    return _table("Cost", ("what", ""), rows)


def _table(title: str, header: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<h2>{title}</h2><div class="wide" role="region" aria-label="{title}" tabindex="0">{table}</div>'
