"""What became of every span that any member ever proposed. Nothing leaves the pipeline without a line here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from entsemble.types import Span


class Fate(str, Enum):
    """How a proposal ended."""

    KEPT = "kept"
    UNREADABLE = "unreadable reply"
    CUT_OFF = "cut off by the token limit"
    NOT_IN_TEXT = "not in the text"
    OUTVOTED = "outvoted: no entity"
    DENIED = "denied by the verifier"
    BELOW_THRESHOLD = "below the threshold"
    OVERLAPPED = "overlaps a better one"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger.

    Attributes:
        surface: what was proposed, as the member wrote it.
        fate: how it ended.
        proposers: who proposed it.
        span: where it stands, where it does.
        label: the label it was voted, where it was.
        detail: figures or a name that explain the fate.
    """

    surface: str
    fate: Fate
    proposers: tuple[str, ...]
    span: Span | None = None
    label: str | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the output file's `meta`."""
        place = {} if self.span is None else {"start": self.span.start, "end": self.span.end}
        named = {} if self.label is None else {"label": self.label}
        told = {"detail": self.detail} if self.detail else {}
        return {
            "text": self.surface,
            **place,
            **named,
            "fate": self.fate.value,
            "members": list(self.proposers),
            **told,
        }
