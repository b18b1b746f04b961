"""The result of one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from entsemble.ner.ledger import LedgerEntry
from entsemble.types import Mention, Span, Usage
from entsemble.voting.rules import Verdict

Cost = tuple[str, str, Usage]
"""(stage, member name, usage) of one or more model calls."""

Costs = tuple[Cost, ...]


@dataclass(frozen=True, slots=True)
class SentenceResult:
    """The mentions of one sentence, and how each stage arrived at them.

    Attributes:
        mentions: in text order.
        member_mentions: member name -> the mentions by its own proposals and ballots alone, under the same rules.
        candidate_spans: every occurrence of every candidate, in text order.
        voted_labels: candidate span -> label before verification and overlap resolution, `None` for no entity.
        verifications: verified span -> whether the verifier confirmed its label.
        demonstration_ids: ids of the pool sentences in the prompts, the most similar last.
        ledger: the fate of everything that was proposed.
        costs: usage by stage and member.
        verdicts: candidate span -> verdict of the vote, before a learned scorer.
        absent_members: member name -> why the member took no part.
    """

    mentions: tuple[Mention, ...]
    member_mentions: Mapping[str, tuple[Mention, ...]]
    candidate_spans: tuple[Span, ...]
    voted_labels: Mapping[Span, str | None]
    verifications: Mapping[Span, bool]
    demonstration_ids: tuple[str, ...]
    ledger: tuple[LedgerEntry, ...]
    costs: Costs
    verdicts: Mapping[Span, Verdict] = field(default_factory=dict)
    absent_members: Mapping[str, str] = field(default_factory=dict)
