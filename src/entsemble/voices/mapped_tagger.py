"""A model with labels of its own as a scorer of spans for the requested labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from entsemble._lib.text import whole_words
from entsemble.protocols import SpanTagger
from entsemble.types import LabelSet, ScoredSpan, Span


class MappedTagger:
    """Translates labels, and expands spans to whole words; see `protocols.SpanScorer`.

    Args:
        tagger: the model.
        mapping: label of the model -> requested label; other spans are left out.
    """

    def __init__(self, tagger: SpanTagger, mapping: Mapping[str, str]) -> None:
        self._tagger, self._mapping = tagger, dict(mapping)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._tagger.name

    @property
    def fingerprint(self) -> str:
        """Differs if the answers could differ."""
        return f"{self._tagger.fingerprint}:{json.dumps(self._mapping, sort_keys=True)}"

    @property
    def parameters(self) -> int | None:
        """Number of the model's weights, if known."""
        return self._tagger.parameters

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """See `SpanScorer.score_spans`. Of several labels with the same meaning the most probable one counts."""
        return [
            self._translate(text, spans, labels, minimum)
            for text, spans in zip(texts, self._tagger.tag(texts), strict=True)
        ]

    def _translate(self, text: str, spans: Sequence[ScoredSpan], labels: LabelSet, minimum: float) -> list[ScoredSpan]:
        by_span: dict[Span, dict[str, float]] = {}
        for scored in spans:
            span = whole_words(text, scored.span)
            if span is None:
                continue
            probabilities = by_span.setdefault(span, dict.fromkeys(labels.names, 0.0))
            for label, probability in scored.probabilities.items():
                target = self._mapping.get(label)
                if target is not None:
                    probabilities[target] = max(probability, probabilities[target])
        translated = [ScoredSpan(span, probabilities) for span, probabilities in sorted(by_span.items())]
        return [scored for scored in translated if scored.score >= minimum]

    def close(self) -> None:
        """Free the model's memory."""
        self._tagger.close()
