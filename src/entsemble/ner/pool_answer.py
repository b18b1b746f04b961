"""The result of a sentence that stands in the pool: the pool's mentions, and no model is asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from entsemble.ner.decision import Decision
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.results import SentenceResult
from entsemble.pool.answers import PoolAnswer
from entsemble.pool.gazetteer import Gazetteer
from entsemble.types import Mention, Span
from entsemble.voting.overlaps import are_incompatible, resolve_overlaps


def answer_sentence(text: str, answer: PoolAnswer, decision: Decision) -> SentenceResult:
    """The pool's mentions with score 1, apart from those that a rule of the user forbids.

    Args:
        text: the sentence.
        answer: what the pool says of it.
        decision: has the user's rules, and whether mentions may nest.
    """
    allowed: list[Mention] = []
    ledger: list[LedgerEntry] = []
    for span, label in answer.spans:
        surface = span.slice(text)
        is_forbidden = decision.rules.user.forbid(surface, label)
        if not is_forbidden:
            allowed.append(Mention(span.start, span.end, label, surface, 1.0, {Gazetteer.name: label}))
        fate = Fate.FORBIDDEN if is_forbidden else Fate.FROM_POOL
        ledger.append(LedgerEntry(surface, fate, (Gazetteer.name,), span, label, f"as in {answer.source}", 1.0))
    mentions, _ = resolve_overlaps(allowed, nested=decision.nested)
    return SentenceResult(
        mentions=tuple(mentions),
        member_mentions={},
        candidate_spans=tuple(span for span, _ in answer.spans),
        voted_labels=dict(answer.spans),
        verifications={},
        demonstration_ids=(),
        ledger=tuple(ledger),
        costs=(),
    )


def with_other_labels(
    answered: SentenceResult, result: SentenceResult, known_labels: Collection[str], *, nested: bool
) -> SentenceResult:
    """The pool's answer, with the ensemble's mentions of labels that the pool does not know.

    Args:
        answered: see `answer_sentence`.
        result: the ensemble's, of the same sentence.
        known_labels: those of the pool.
        nested: whether mentions may lie inside one another.
    """
    decided_spans = [mention.span for mention in answered.mentions]

    def is_open(span: Span, label: str | None) -> bool:
        is_free = not any(are_incompatible(span, decided, nested=nested) for decided in decided_spans)
        return label not in known_labels and is_free

    others = [mention for mention in result.mentions if is_open(mention.span, mention.label)]
    ledger = [
        entry
        if entry.fate is not Fate.KEPT or (entry.span and is_open(entry.span, entry.label))
        else replace(entry, fate=Fate.NOT_IN_POOL, detail="")
        for entry in result.ledger
        if entry.span not in answered.voted_labels
    ]
    mentions = sorted((*answered.mentions, *others), key=lambda mention: (mention.start, -mention.end))
    return replace(
        result,
        mentions=tuple(mentions),
        candidate_spans=tuple(sorted({*result.candidate_spans, *answered.candidate_spans})),
        voted_labels={**result.voted_labels, **answered.voted_labels},
        ledger=(*answered.ledger, *ledger),
    )
