"""What a reviewer can do, as functions from an action to changes of a draft."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from entsemble.prompting.align import find_exactly
from entsemble.review.draft import Draft
from entsemble.review.edits import DONE, IN_WORK, RefusedEditError, SpanRow, SpanState
from entsemble.types import NONE_LABEL, Span

Scope = Literal["document", "session"]
"""Where all mentions of a name are changed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an edit did.

    Attributes:
        action: in words, for the log and for "undo ...".
        count: how many mentions or documents it changed.
        note: what the user should know besides; empty if nothing.
    """

    action: str
    count: int = 1
    note: str = ""


def accept(draft: Draft, span_id: int) -> Outcome:
    """Accept a mention as it is, or make a rejected candidate a mention."""
    row = draft.span(span_id)
    if row.is_active:
        draft.change_span(row, status="accepted" if row.status == "proposed" else row.status)
        return Outcome("accept")
    replaced = draft.reject_rivals(row.document, row.start, row.end, row.id)
    draft.change_span(row, status="accepted")
    return Outcome("add", note=_replacement_note(replaced))


def reject(draft: Draft, span_id: int) -> Outcome:
    """Make a mention a rejected candidate."""
    draft.change_span(draft.span(span_id), status="rejected")
    return Outcome("reject")


def relabel(draft: Draft, span_id: int, label: str) -> Outcome:
    """Give a span another label; a rejected candidate becomes a mention."""
    row = draft.span(span_id)
    replaced = 0 if row.is_active else draft.reject_rivals(row.document, row.start, row.end, row.id)
    draft.change_spans([(row, _labelled(row, _checked_label(label)))])
    return Outcome("relabel", note=_replacement_note(replaced))


def move(draft: Draft, span_id: int, start: int, end: int) -> Outcome:
    """Give a mention other edges."""
    row = draft.span(span_id)
    start, end = _stripped(draft.text(row.document), start, end)
    replaced = draft.reject_rivals(row.document, start, end, row.id)
    status = "added" if row.status == "added" else "changed"
    draft.change_span(row, start=start, end=end, status=status)
    return Outcome("move", note=_replacement_note(replaced))


def add(draft: Draft, document: int, start: int, end: int, label: str) -> Outcome:
    """Add a mention; mentions that it overlaps are rejected, unless it may be nested in them."""
    start, end = _stripped(draft.text(document), start, end)
    same = draft.spans(document, "start=? AND end=? AND status != 'removed'", start, end)
    if same:
        return relabel(draft, min(same, key=lambda row: not row.is_active).id, label)
    replaced = draft.reject_rivals(document, start, end)
    draft.add_spans({document: [Span(start, end)]}, _checked_label(label), "added")
    return Outcome("add", note=_replacement_note(replaced))


def sign(draft: Draft, document: int, sentence: int, *, is_signed: bool = True) -> Outcome:
    """Sign off a sentence: all its mentions are right, and none is missing. Or take that back."""
    if is_signed:
        _accept_all(draft, draft.mentions(document, sentence))
    draft.sign(document, sentence, is_signed=is_signed)
    return Outcome("sign off the sentence" if is_signed else "reopen the sentence")


def mark_empty(draft: Draft, document: int, sentence: int) -> Outcome:
    """Sign off a sentence without mentions: all that it has are rejected."""
    rows = draft.mentions(document, sentence)
    draft.change_spans([(row, row.with_status("rejected")) for row in rows])
    draft.sign(document, sentence, is_signed=True)
    return Outcome("no names here", len(rows))


def finish(draft: Draft, documents: Sequence[int]) -> Outcome:
    """Sign off all sentences of documents, which are done then."""
    _accept_all(draft, [row for group in draft.spans_by_document(documents).values() for row in group])
    draft.sign_documents(documents)
    for document in documents:
        draft.set_document(document, state=DONE)
    return Outcome("done", len(documents))


def reopen(draft: Draft, documents: Sequence[int]) -> Outcome:
    """Take documents back into work; what was signed off stays signed off."""
    for document in documents:
        draft.set_document(document, state=IN_WORK)
    return Outcome("reopen", len(documents))


def delete(draft: Draft, documents: Sequence[int]) -> Outcome:
    """Delete documents from the session."""
    for document in documents:
        draft.set_document(document, is_deleted=True)
    return Outcome("delete", len(documents))


def filter_scores(draft: Draft, documents: Sequence[int], minimum: float, *, accepts: bool) -> Outcome:
    """Accept all undecided mentions of documents that score `minimum` or more, or reject those that score less."""
    rows = [row for group in draft.spans_by_document(documents).values() for row in group if row.status == "proposed"]
    chosen = [row for row in rows if ((1.0 if row.score is None else row.score) >= minimum) is accepts]
    draft.change_spans([(row, row.with_status("accepted" if accepts else "rejected")) for row in chosen])
    return Outcome("accept by score" if accepts else "reject by score", len(chosen))


def label_name(draft: Draft, span_id: int, scope: Scope) -> Outcome:
    """Give every occurrence of a span's text the span's label.

    Mentions within an occurrence that nobody has decided on are replaced; where others overlap, nothing changes.
    """
    source = draft.span(span_id)
    surface = draft.surfaces([source])[span_id]
    texts = dict(_searched(draft, source, surface, scope))
    rows = draft.spans_by_document(list(texts))
    changed: list[tuple[SpanRow, SpanState]] = []
    replaced: list[SpanRow] = []
    new: dict[int, list[Span]] = {}
    for document, text in texts.items():
        plan = _label_occurrences(draft, rows.get(document, ()), find_exactly(text, surface), source.label)
        changed += [(row, _labelled(row, source.label)) for row in plan.labelled]
        replaced += plan.replaced
        if plan.new:
            new[document] = plan.new
    draft.change_spans([(row, row.with_status("rejected")) for row in replaced])
    draft.change_spans(changed)
    draft.add_spans(new, source.label, "added")
    draft.change_span(draft.span(span_id))  # the page stays at this mention
    count = len(changed) + sum(map(len, new.values()))
    return Outcome(f"all of “{_shortened(surface)}”", count, _replacement_note(len(replaced)))


def reject_name(draft: Draft, span_id: int, scope: Scope) -> Outcome:
    """Reject every mention with a span's text."""
    source = draft.span(span_id)
    surface = draft.surfaces([source])[span_id]
    texts = dict(_searched(draft, source, surface, scope))
    rows = [row for group in draft.spans_by_document(list(texts)).values() for row in group if row.is_active]
    same = [row for row in rows if texts[row.document][row.start : row.end] == surface]
    draft.change_spans([(row, row.with_status("rejected")) for row in same])
    draft.change_span(draft.span(span_id))
    return Outcome(f"none of “{_shortened(surface)}”", len(same))


def set_labels(draft: Draft, labels: Mapping[str, str]) -> Outcome:
    """Set the labels of the session: name -> definition."""
    if not labels:
        raise RefusedEditError("name at least one label")
    for name in labels:
        _checked_label(name)
    draft.set_setting("labels", [list(pair) for pair in labels.items()])
    return Outcome("labels")


def set_nested(draft: Draft, *, nested: bool) -> Outcome:
    """Set whether mentions may lie inside one another."""
    draft.set_setting("nested", nested)
    return Outcome("nesting")


def _labelled(row: SpanRow, label: str) -> SpanState:
    """The state of a span to which the reviewer has given a label."""
    if row.label == label:
        status = "accepted" if row.status in ("proposed", "candidate", "rejected") else row.status
    else:
        status = "added" if row.status == "added" else "changed"
    return row.sentence, row.start, row.end, label, status


@dataclass(frozen=True, slots=True)
class _LabelPlan:
    """What is to be done so that all occurrences of a name in a document have a label.

    Attributes:
        labelled: the spans that get the label.
        new: occurrences at which there is no span.
        replaced: mentions that give way to one of these.
    """

    labelled: list[SpanRow] = field(default_factory=list)
    new: list[Span] = field(default_factory=list)
    replaced: list[SpanRow] = field(default_factory=list)


def _label_occurrences(draft: Draft, rows: Sequence[SpanRow], occurrences: Sequence[Span], label: str) -> _LabelPlan:
    """What is to be done about a document.

    Args:
        draft: knows what may be nested.
        rows: the document's spans.
        occurrences: of the name; they do not overlap one another.
        label: the new one.
    """
    by_place: defaultdict[tuple[int, int], list[SpanRow]] = defaultdict(list)
    for row in rows:
        by_place[row.start, row.end].append(row)
    mentions = [row for row in rows if row.is_active]
    starts = [row.start for row in mentions]
    longest = max((row.end - row.start for row in mentions), default=0)
    plan = _LabelPlan()
    for occurrence in occurrences:
        same = sorted(by_place[occurrence.start, occurrence.end], key=lambda row: not row.is_active)
        if same and same[0].is_active:
            if same[0].label != label or same[0].status == "proposed":
                plan.labelled.append(same[0])
            continue
        near = slice(bisect_left(starts, occurrence.start - longest), bisect_left(starts, occurrence.end))
        rivals = draft.incompatible(mentions[near], occurrence)
        if not all(row.status == "proposed" and occurrence.contains(Span(row.start, row.end)) for row in rivals):
            continue
        plan.replaced.extend(rivals)
        if same:
            plan.labelled.append(same[0])
        else:
            plan.new.append(occurrence)
    return plan


def _searched(draft: Draft, source: SpanRow, surface: str, scope: Scope) -> Sequence[tuple[int, str]]:
    if scope == "session":
        return draft.documents_with(surface)
    return [(source.document, draft.text(source.document))]


def _accept_all(draft: Draft, rows: Sequence[SpanRow]) -> None:
    draft.change_spans([(row, row.with_status("accepted")) for row in rows if row.status == "proposed"])


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without surrounding whitespace."""
    if not 0 <= start < end <= len(text):
        raise RefusedEditError(f"{start} to {end} is not a range of a text of {len(text)} characters")
    part = text[start:end]
    if not part.strip():
        raise RefusedEditError("there is only white space in this range")
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _checked_label(label: str) -> str:
    if not label.strip() or label == NONE_LABEL:
        raise RefusedEditError(f"{label!r} cannot be a label")
    return label


def _replacement_note(count: int) -> str:
    return f"replaces {count} overlapping mention{'' if count == 1 else 's'}" if count else ""


def _shortened(surface: str, length: int = 30) -> str:
    return surface if len(surface) <= length else surface[: length - 1] + "…"
