"""What the pipeline calls: labels and scores for candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.model import StackingModel
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import Span
from entsemble.voting.rules import Verdict


class Scorer:
    """Scores candidates with a stacking model.

    Args:
        extractor: computes the features that the model was fitted to.
        model: pre-trained, or fitted to sentences of the pool.
    """

    def __init__(self, extractor: FeatureExtractor, model: StackingModel) -> None:
        self._extractor, self.model = extractor, model

    def score(self, text: str, verdicts: Mapping[Span, Verdict]) -> dict[Span, Verdict]:
        """Replace the vote on each candidate by the most probable label and its calibrated probability.

        The score is calibrated for candidates that are likely to be selected; for the others only the order counts.
        """
        labels = self._extractor.labels
        features = self._extractor.extract(text, verdicts)
        probabilities = self.model.predict(features, SpanCrf([*verdicts], nested=labels.nested))
        scored = {}
        for (span, verdict), label_probabilities in zip(verdicts.items(), probabilities, strict=True):
            best = int(np.argmax(label_probabilities))
            name = labels.names[best]
            score = self.model.calibration.calibrate(float(label_probabilities[best]))
            scored[span] = replace(verdict, label=name, score=score, best_label=name)
        return scored
