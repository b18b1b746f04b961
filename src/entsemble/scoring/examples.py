"""Annotated sentences with votes, as training examples of the stacking model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.math import FloatArray
from entsemble._lib.text import one_line
from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.overlaps import resolve_overlaps
from entsemble.voting.rules import Verdict


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """The candidates of one sentence.

    Attributes:
        features: for each candidate, [labels, features].
        targets: for each candidate, [labels]: 1 where it is annotated with the label, else 0.
        span_crf: over the candidates' spans.
        enclosed_count: annotated candidates within another annotated candidate.
    """

    features: Sequence[FloatArray]
    targets: Sequence[FloatArray]
    span_crf: SpanCrf
    enclosed_count: int


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """An annotated sentence, and the votes of an ensemble that has not seen its annotation.

    Attributes:
        document: the sentence with its annotation.
        verdicts: the vote on each candidate span.
        features: for each candidate, [labels, features], extracted without the sentence's annotation too.
    """

    document: Document
    verdicts: Mapping[Span, Verdict]
    features: Sequence[FloatArray]

    @classmethod
    def from_verdicts(
        cls, extractor: FeatureExtractor, document: Document, verdicts: Mapping[Span, Verdict]
    ) -> ScoredSentence:
        """The sentence with the features that `extractor` computes."""
        return cls(document, verdicts, extractor.extract(document.text, verdicts))

    @property
    def surfaces(self) -> list[str]:
        """The texts of the candidates, each on one line."""
        line = one_line(self.document.text)
        return [span.slice(line) for span in self.verdicts]

    @property
    def gold(self) -> frozenset[tuple[int, int, str]]:
        """Start, end and label of each annotated mention."""
        return frozenset((mention.start, mention.end, mention.label) for mention in self.document.mentions)

    def targets(self, labels: LabelSet) -> list[FloatArray]:
        """For each candidate, [labels]: 1 where it is annotated with the label, else 0."""
        gold = self.gold
        return [
            np.array([(span.start, span.end, name) in gold for name in labels.names], dtype=float)
            for span in self.verdicts
        ]

    def to_example(self, labels: LabelSet) -> TrainingExample:
        """The training example; of annotated candidates that exclude each other, the longer ones are the targets."""
        targets = self.targets(labels)
        annotated = [
            Mention(span.start, span.end, labels.names[0], surface)
            for span, surface, target in zip(self.verdicts, self.surfaces, targets, strict=True)
            if target.any()
        ]
        compatible = [mention.span for mention in resolve_overlaps(annotated, nested=labels.nested)[0]]
        targets = [target * (span in compatible) for span, target in zip(self.verdicts, targets, strict=True)]
        enclosed_count = sum(
            any(outer.contains(inner) for outer in compatible if outer != inner) for inner in compatible
        )
        span_crf = SpanCrf([*self.verdicts], nested=labels.nested)
        return TrainingExample(self.features, targets, span_crf, enclosed_count)
