"""Counts by pipeline stage, which show the stage that loses mentions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from entsemble.evaluation.counts import Counts, count_sets, ratio
from entsemble.types import Mention, Span


@dataclass(frozen=True, slots=True)
class ClassificationCounts:
    """Classification of the candidate spans that are gold mentions.

    Attributes:
        correct: spans that received one of their gold labels.
        total: candidate spans that are gold mentions.
    """

    correct: int = 0
    total: int = 0

    def __add__(self, other: ClassificationCounts) -> ClassificationCounts:
        return ClassificationCounts(self.correct + other.correct, self.total + other.total)

    @property
    def accuracy(self) -> float:
        """Share classified correctly; 0.0 if there is no such span."""
        return ratio(self.correct, self.total)


@dataclass(frozen=True, slots=True)
class VerificationCounts:
    """Decisions of the verifier on classified spans.

    Attributes:
        accepted_correct, accepted_wrong: accepted spans, gold or not.
        rejected_correct: rejected gold mentions: the loss in recall.
        rejected_wrong: rejected errors: the gain in precision.
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
        """Number of verified spans; 0 if the stage is off."""
        return self.accepted_correct + self.accepted_wrong + self.rejected_correct + self.rejected_wrong

    @property
    def precision(self) -> float:
        """Share of the accepted spans that is gold; 0.0 if none was accepted."""
        return ratio(self.accepted_correct, self.accepted_correct + self.accepted_wrong)

    @property
    def recall(self) -> float:
        """Share of the verified gold mentions that was accepted; 0.0 if there is none."""
        return ratio(self.accepted_correct, self.accepted_correct + self.rejected_correct)

    def to_json(self) -> dict[str, float | None]:
        """Precision and recall, `None` if no span was verified."""
        return {
            "precision": self.precision if self.total else None,
            "recall": self.recall if self.total else None,
        }


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Counts of the three stages, additive over sentences and documents.

    Attributes:
        extraction: candidate spans against gold spans.
        classification: candidate spans that are gold mentions, and how many of them received a gold label.
        verification: decisions on the verified spans.
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
        return {
            "extraction": {"precision": self.extraction.precision, "recall": self.extraction.recall},
            "classification": {"accuracy": self.classification.accuracy},
            "verification": self.verification.to_json(),
        }

    def counts_to_json(self) -> dict[str, Any]:
        """The report's `stage_counts`, from which the ratios are derived."""
        return {
            "extraction": asdict(self.extraction),
            "classification": asdict(self.classification),
            "verification": asdict(self.verification),
        }


def count_stages(
    gold: Sequence[Mention],
    candidates: Collection[Span],
    labels: Mapping[Span, str | None],
    verifications: Mapping[Span, bool],
) -> StageCounts:
    """The stage counts of one text.

    Args:
        gold: gold mentions of the text.
        candidates: union of the spans that the members proposed.
        labels: voted label of each span; `None`, or a missing span, for no entity.
        verifications: verified spans -> whether the verifier accepted each.

    Raises:
        ValueError: a verified span has no label, so it cannot have reached the verifier.
    """
    classified = {span: label for span, label in labels.items() if label is not None}
    unlabelled = sorted(verifications.keys() - classified.keys())
    if unlabelled:
        raise ValueError(f"verified, but not labelled: [{unlabelled[0].start}, {unlabelled[0].end})")
    gold_labels = {(mention.span, mention.label) for mention in gold}
    correct_spans = {span for span, _ in gold_labels & classified.items()}
    gold_spans = {mention.span for mention in gold}
    gold_candidates = gold_spans & set(candidates)
    return StageCounts(
        extraction=count_sets(gold_spans, candidates),
        classification=ClassificationCounts(correct=len(correct_spans & gold_candidates), total=len(gold_candidates)),
        verification=_count_verifications(verifications, correct_spans),
    )


def _count_verifications(verifications: Mapping[Span, bool], correct: set[Span]) -> VerificationCounts:
    """Cross the verifier's decisions with the gold standard."""
    accepted = {span for span, is_accepted in verifications.items() if is_accepted}
    wrong, rejected = verifications.keys() - correct, verifications.keys() - accepted
    return VerificationCounts(
        accepted_correct=len(accepted & correct),
        accepted_wrong=len(accepted & wrong),
        rejected_correct=len(rejected & correct),
        rejected_wrong=len(rejected & wrong),
    )
