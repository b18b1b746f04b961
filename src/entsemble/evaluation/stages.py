"""How well each stage of the pipeline did, so that a loss can be put down to the stage that made it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entsemble.evaluation.counts import Counts, count_sets, ratio
from entsemble.types import Mention, Span


@dataclass(frozen=True, slots=True)
class Classified:
    """How the spans that are mentions were typed.

    Attributes:
        right: typed with a gold label of the span.
        asked: proposed spans that are a gold mention's.
    """

    right: int = 0
    asked: int = 0

    def __add__(self, other: Classified) -> Classified:
        return Classified(self.right + other.right, self.asked + other.asked)

    @property
    def accuracy(self) -> float:
        """Share typed right; 0.0 where none was asked."""
        return ratio(self.right, self.asked)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the verifier did with typed spans.

    Attributes:
        kept_right, kept_wrong: let through, and gold or not.
        dropped_right: denied though gold: what the verifier lost.
        dropped_wrong: denied and not gold: what the verifier gained.
    """

    kept_right: int = 0
    kept_wrong: int = 0
    dropped_right: int = 0
    dropped_wrong: int = 0

    def __add__(self, other: Verified) -> Verified:
        return Verified(
            self.kept_right + other.kept_right,
            self.kept_wrong + other.kept_wrong,
            self.dropped_right + other.dropped_right,
            self.dropped_wrong + other.dropped_wrong,
        )

    @property
    def asked(self) -> int:
        """Spans that came to the verifier; none where the stage is off."""
        return self.kept_right + self.kept_wrong + self.dropped_right + self.dropped_wrong

    @property
    def precision(self) -> float:
        """Share of the kept that is gold; 0.0 where nothing was kept."""
        return ratio(self.kept_right, self.kept_right + self.kept_wrong)

    @property
    def recall(self) -> float:
        """Share of the gold that came to the verifier and was kept; 0.0 where none came."""
        return ratio(self.kept_right, self.kept_right + self.dropped_right)

    def to_json(self) -> dict[str, float | None]:
        """Precision and recall, `None` where the verifier was asked about nothing."""
        return {
            "precision": self.precision if self.asked else None,
            "recall": self.recall if self.asked else None,
        }


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Additive counts of the three stages; add them up over sentences or documents.

    Attributes:
        extraction: spans that were proposed, against gold spans.
        classification: of the proposed spans that are gold, how many got a gold label.
        verification: of the spans that the verifier was asked about, which it kept.
    """

    extraction: Counts = field(default_factory=Counts)
    classification: Classified = field(default_factory=Classified)
    verification: Verified = field(default_factory=Verified)

    def __add__(self, other: StageCounts) -> StageCounts:
        return StageCounts(
            self.extraction + other.extraction,
            self.classification + other.classification,
            self.verification + other.verification,
        )

    def to_json(self) -> dict[str, Any]:
        """The report's `stages`."""
        found = self.extraction
        return {
            "extraction": {"precision": found.precision, "recall": found.recall},
            "classification": {"accuracy": self.classification.accuracy},
            "verification": self.verification.to_json(),
        }

    def counts_to_json(self) -> dict[str, Any]:
        """The report's `stage_counts`: what the ratios come from."""
        found, typed, kept = self.extraction, self.classification, self.verification
        return {
            "extraction": {"tp": found.tp, "fp": found.fp, "fn": found.fn},
            "classification": {"right": typed.right, "asked": typed.asked},
            "verification": {
                "kept_right": kept.kept_right,
                "kept_wrong": kept.kept_wrong,
                "dropped_right": kept.dropped_right,
                "dropped_wrong": kept.dropped_wrong,
            },
        }


def stage_counts(
    gold: Sequence[Mention], proposed: Collection[Span], typed: Mapping[Span, str | None], verified: Mapping[Span, bool]
) -> StageCounts:
    """The counts of one text.

    Args:
        gold: gold mentions of the text.
        proposed: union of the spans that the members proposed.
        typed: the label that the vote gave each span; `None`, like a span left out, for no entity.
        verified: the spans that the verifier was asked about, and whether it let each through.

    Raises:
        ValueError: `verified` holds a span that has no label, so it cannot have come to the verifier.
    """
    labelled = {span: label for span, label in typed.items() if label is not None}
    unknown = sorted(verified.keys() - labelled.keys())
    if unknown:
        raise ValueError(f"verified, but never given a label: [{unknown[0].start}, {unknown[0].end})")
    right = {(m.span, m.label) for m in gold} & labelled.items()
    gold_spans = {m.span for m in gold}
    asked = gold_spans & set(proposed)
    return StageCounts(
        extraction=count_sets(gold_spans, proposed),
        classification=Classified(right=len({span for span, _ in right} & asked), asked=len(asked)),
        verification=_verified(verified, {span for span, _ in right}),
    )


def _verified(verified: Mapping[Span, bool], right: set[Span]) -> Verified:
    """Cross the verifier's answers with the truth."""
    kept = {span for span, passed in verified.items() if passed}
    wrong, dropped = verified.keys() - right, verified.keys() - kept
    return Verified(
        kept_right=len(kept & right),
        kept_wrong=len(kept & wrong),
        dropped_right=len(dropped & right),
        dropped_wrong=len(dropped & wrong),
    )
