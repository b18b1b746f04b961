"""Document results as plain values, for the journal and for other machines."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, replace
from typing import Any

from entsemble.ner.documents import Extracted
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.types import Document, Mention, Span, Usage


def document_key(document: Document) -> bytes:
    """A digest of what the output shows of a document: id, text, tokens and meta."""
    tokens = [[token.start, token.end] for token in document.tokens]
    identity = [document.id, document.text, tokens, dict(document.meta)]
    canonical = json.dumps(identity, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).digest()


def to_record(result: Extracted) -> dict[str, Any]:
    """The result without its document, ready for JSON."""
    return {
        "mentions": _mention_rows(result.document.mentions),
        "alone": {member_name: _mention_rows(mentions) for member_name, mentions in result.member_mentions.items()},
        "proposed": [_span_row(span) for span in result.candidate_spans],
        "typed": [[*_span_row(span), label] for span, label in result.voted_labels.items()],
        "verified": [[*_span_row(span), is_confirmed] for span, is_confirmed in result.verifications.items()],
        "ledger": [_ledger_row(entry) for entry in result.ledger],
        "demonstrations": result.demonstration_ids,
        "costs": [[stage, member_name, astuple(usage)] for stage, member_name, usage in result.costs],
        "sentences": result.sentence_count,
        "absent": dict(result.absent_members),
    }


def from_record(document: Document, record: Any) -> Extracted:  # noqa: ANN401 - parsed JSON
    """The result of `document` from its record.

    Raises:
        KeyError, TypeError, ValueError: the record is not one of this document.
    """
    text = document.text
    return Extracted(
        document=replace(document, mentions=_read_mentions(text, record["mentions"])),
        member_mentions={member_name: _read_mentions(text, rows) for member_name, rows in record["alone"].items()},
        candidate_spans=tuple(Span(*row) for row in record["proposed"]),
        voted_labels={Span(start, end): label for start, end, label in record["typed"]},
        verifications={Span(start, end): is_confirmed for start, end, is_confirmed in record["verified"]},
        ledger=tuple(_read_ledger_entry(row) for row in record["ledger"]),
        demonstration_ids=tuple(tuple(window_ids) for window_ids in record["demonstrations"]),
        costs=tuple((stage, member_name, Usage(*usage)) for stage, member_name, usage in record["costs"]),
        sentence_count=record["sentences"],
        absent_members=record["absent"],
    )


def _span_row(span: Span) -> list[int]:
    return [span.start, span.end]


def _mention_rows(mentions: tuple[Mention, ...]) -> list[list[Any]]:
    return [[mention.start, mention.end, mention.label, mention.score, dict(mention.votes)] for mention in mentions]


def _read_mentions(text: str, rows: list[list[Any]]) -> tuple[Mention, ...]:
    return tuple(
        Mention(start, end, label, Span(start, end).slice(text), score, votes)
        for start, end, label, score, votes in rows
    )


def _ledger_row(entry: LedgerEntry) -> list[Any]:
    span = entry.span and _span_row(entry.span)
    return [entry.surface, entry.fate.value, entry.proposers, span, entry.label, entry.detail, entry.score]


def _read_ledger_entry(row: list[Any]) -> LedgerEntry:
    surface, fate, proposers, span, label, detail, score = row
    return LedgerEntry(surface, Fate(fate), tuple(proposers), Span(*span) if span else None, label, detail, score)
