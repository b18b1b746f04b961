"""The ledger: an entry for every span that was ever proposed, and its fate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from entsemble.types import Span


class Fate(str, Enum):
    """What became of a proposal."""

    KEPT = "kept"
    FROM_POOL = "answered from the pool"
    UNREADABLE = "unreadable reply"
    CUT_OFF = "cut off by the token limit"
    NOT_IN_TEXT = "not in the text"
    OUTVOTED = "outvoted: no entity"
    DENIED = "denied by the verifier"
    BELOW_THRESHOLD = "below the threshold"
    FORBIDDEN = "forbidden by a rule"
    NOT_IN_POOL = "not a mention in the pool"
    OVERLAPPED = "overlaps a better one"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One entry of the ledger.

    Attributes:
        surface: the proposal, as the proposer wrote it.
        fate: what became of it.
        proposers: names of the members and proposers that proposed it.
        span: its position in the text, `None` if it has none.
        label: its voted label, `None` if it was not voted on.
        detail: figures or a name that explain the fate.
        score: of the label that the vote came nearest to; `None` if there was no vote.
    """

    surface: str
    fate: Fate
    proposers: tuple[str, ...]
    span: Span | None = None
    label: str | None = None
    detail: str = ""
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the `meta` of an output document."""
        entry: dict[str, Any] = {"text": self.surface}
        if self.span is not None:
            entry |= {"start": self.span.start, "end": self.span.end}
        if self.label is not None:
            entry["label"] = self.label
        entry |= {"fate": self.fate.value, "members": list(self.proposers)}
        if self.detail:
            entry["detail"] = self.detail
        if self.score is not None:
            entry["score"] = self.score
        return entry
