"""How well each stage of the pipeline did, so that a loss can be put down to the stage that made it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entsemble.evaluation.counts import Counts, count_sets, ratio
from entsemble.types import Mention, Span


@dataclass(frozen=True, slots=True)
class ClassificationCounts:
    """How the spans that are mentions were typed.

    Attributes:
        correct: typed with a gold label of the span.
        total: proposed spans that are a gold mention's.
    """

    correct: int = 0
    total: int = 0

    def __add__(self, other: ClassificationCounts) -> ClassificationCounts:
        return ClassificationCounts(self.correct + other.correct, self.total + other.total)

    @property
    def accuracy(self) -> float:
        """Share typed right; 0.0 where none was asked."""
        return ratio(self.correct, self.total)


@dataclass(frozen=True, slots=True)
class VerificationCounts:
    """What the verifier did with typed spans.

    Attributes:
        accepted_correct, accepted_wrong: let through, and gold or not.
        rejected_correct: denied though gold: what the verifier lost.
        rejected_wrong: denied and not gold: what the verifier gained.
    """

    accepted_correct: int = 0
    accepted_wrong: int = 0
    rejected_correct: int = 0
    rejected_wrong: int = 0

    def __add__(self, other: VerificationCounts) -> VerificationCounts:
        return VerificationCounts(
            self.accepted_correct + other.accepted_correct,
            self.accepted_wrong + other.accepted_wrong,
            self.rejected_correct + other.rejected_correct,
            self.rejected_wrong + other.rejected_wrong,
        )

    @property
    def total(self) -> int:
        """Spans that came to the verifier; none where the stage is off."""
        return self.accepted_correct + self.accepted_wrong + self.rejected_correct + self.rejected_wrong

    @property
    def precision(self) -> float:
        """Share of the kept that is gold; 0.0 where nothing was kept."""
        return ratio(self.accepted_correct, self.accepted_correct + self.accepted_wrong)

    @property
    def recall(self) -> float:
        """Share of the gold that came to the verifier and was kept; 0.0 where none came."""
        return ratio(self.accepted_correct, self.accepted_correct + self.rejected_correct)

    def to_json(self) -> dict[str, float | None]:
        """Precision and recall, `None` where the verifier was asked about nothing."""
        return {
            "precision": self.precision if self.total else None,
            "recall": self.recall if self.total else None,
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
    classification: ClassificationCounts = field(default_factory=ClassificationCounts)
    verification: VerificationCounts = field(default_factory=VerificationCounts)

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
            "classification": {"correct": typed.correct, "total": typed.total},
            "verification": {
                "accepted_correct": kept.accepted_correct,
                "accepted_wrong": kept.accepted_wrong,
                "rejected_correct": kept.rejected_correct,
                "rejected_wrong": kept.rejected_wrong,
            },
        }


def count_stages(
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
        classification=ClassificationCounts(correct=len({span for span, _ in right} & asked), total=len(asked)),
        verification=_verified(verified, {span for span, _ in right}),
    )


def _verified(verified: Mapping[Span, bool], right: set[Span]) -> VerificationCounts:
    """Cross the verifier's answers with the truth."""
    kept = {span for span, passed in verified.items() if passed}
    wrong, dropped = verified.keys() - right, verified.keys() - kept
    return VerificationCounts(
        accepted_correct=len(kept & right),
        accepted_wrong=len(kept & wrong),
        rejected_correct=len(dropped & right),
        rejected_wrong=len(dropped & wrong),
    )
