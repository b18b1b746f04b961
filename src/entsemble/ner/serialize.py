"""What a document gave, as plain values: what a journal keeps, and what travels between machines."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, replace
from typing import Any

from entsemble.ner.documents import Extracted
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.types import Document, Mention, Span, Usage


def document_key(document: Document) -> bytes:
    """Tells documents apart by all that their output shows: id, text, tokens and meta."""
    told = [document.id, document.text, [[t.start, t.end] for t in document.tokens], dict(document.meta)]
    written = json.dumps(told, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).digest()


def to_record(result: Extracted) -> dict[str, Any]:
    """All but the document itself, ready for JSON."""
    return {
        "mentions": [_mention(m) for m in result.document.mentions],
        "alone": {name: [_mention(m) for m in mentions] for name, mentions in result.member_mentions.items()},
        "proposed": [_span(s) for s in result.candidate_spans],
        "typed": [[*_span(s), label] for s, label in result.voted_labels.items()],
        "verified": [[*_span(s), kept] for s, kept in result.verifications.items()],
        "ledger": [
            [e.surface, e.fate.value, e.proposers, e.span and _span(e.span), e.label, e.detail] for e in result.ledger
        ],
        "demonstrations": result.demonstration_ids,
        "costs": [[stage, member, astuple(usage)] for stage, member, usage in result.costs],
        "sentences": result.sentence_count,
        "absent": dict(result.absent_members),
    }


def from_record(document: Document, record: Any) -> Extracted:  # noqa: ANN401 - parsed JSON
    """The result of `document` from its record.

    Raises:
        KeyError, TypeError, ValueError: it is no record of this document.
    """
    text = document.text
    return Extracted(
        document=replace(document, mentions=tuple(_read(text, m) for m in record["mentions"])),
        member_mentions={name: tuple(_read(text, m) for m in mentions) for name, mentions in record["alone"].items()},
        candidate_spans=tuple(Span(*s) for s in record["proposed"]),
        voted_labels={Span(start, end): label for start, end, label in record["typed"]},
        verifications={Span(start, end): kept for start, end, kept in record["verified"]},
        ledger=tuple(
            LedgerEntry(surface, Fate(fate), tuple(members), Span(*span) if span else None, label, detail)
            for surface, fate, members, span, label, detail in record["ledger"]
        ),
        demonstration_ids=tuple(tuple(window) for window in record["demonstrations"]),
        costs=tuple((stage, member, Usage(*usage)) for stage, member, usage in record["costs"]),
        sentence_count=record["sentences"],
        absent_members=record["absent"],
    )


def _span(span: Span) -> list[int]:
    return [span.start, span.end]


def _mention(mention: Mention) -> list[Any]:
    return [mention.start, mention.end, mention.label, mention.score, dict(mention.votes)]


def _read(text: str, values: list[Any]) -> Mention:
    start, end, label, score, votes = values
    return Mention(start, end, label, Span(start, end).of(text), score, votes)
