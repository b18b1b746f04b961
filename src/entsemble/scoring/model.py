"""The stacking model: a conditional logit over labels, a semi-CRF over spans.

Stacked generalisation (D. H. Wolpert, 1992): a model that is trained on the ensemble's answers for annotated sentences
predicts, from the features of each candidate (`features.py`), the probability of each label. The labels of a candidate
and "no entity" exclude one another (conditional logit, D. McFadden, 1974), and so do candidates that overlap
(`semi_crf.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from entsemble._lib.math import FloatArray
from entsemble.scoring.platt import IDENTITY, PlattScaling
from entsemble.scoring.semi_crf import SpanCrf


@dataclass(frozen=True, slots=True)
class StackingModel:
    """The parameters of a fitted model.

    Attributes:
        feature_means, feature_scales: [features], standardise the features.
        coefficients: [features], of the standardised features.
        intercept: log-odds of a label against no entity for a candidate with average features and no overlaps.
        nesting_log_potential: added to the log-odds of a mention within another, where mentions nest.
        threshold: of the score; a mention below it is expected to lower F1.
        training_sentences: of the pool, that it was fitted to; 0 for the pre-trained model.
        proposes_capitalised: whether capitalised spans were candidates in training, and so must be in prediction.
        calibration: turns probabilities into scores.
    """

    feature_means: tuple[float, ...]
    feature_scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    nesting_log_potential: float
    threshold: float
    training_sentences: int
    proposes_capitalised: bool = False
    calibration: PlattScaling = IDENTITY

    def standardise(self, features: FloatArray) -> FloatArray:
        """[rows, features] -> [rows, features + 1]: missing values (NaN) become the mean; adds a column of 1."""
        standardised = np.nan_to_num((features - self.feature_means) / self.feature_scales, nan=0.0)
        return np.column_stack([standardised, np.ones(len(standardised))])

    def predict(self, features: Sequence[FloatArray], span_crf: SpanCrf) -> list[FloatArray]:
        """Probabilities of the labels of each candidate of a text; the rest to 1 is the probability of no entity.

        Args:
            features: for each candidate, [labels, features].
            span_crf: over the candidates' spans, in the same order.

        Returns:
            For each candidate, [labels].
        """
        weights = np.array([*self.coefficients, self.intercept])
        utilities = [self.standardise(candidate_features) @ weights for candidate_features in features]
        log_potentials = [float(np.logaddexp.reduce(candidate_utilities)) for candidate_utilities in utilities]
        selected = span_crf.marginals(log_potentials, self.nesting_log_potential).selected
        return [
            probability * np.exp(candidate_utilities - log_potential)
            for probability, candidate_utilities, log_potential in zip(selected, utilities, log_potentials, strict=True)
        ]

    def to_vector(self) -> FloatArray:
        """[features + 2]: the parameters that are fitted: coefficients, intercept and nesting log-potential."""
        return np.array([*self.coefficients, self.intercept, self.nesting_log_potential])

    def with_vector(self, parameters: FloatArray) -> StackingModel:
        """The same model with these parameters, in the order of `to_vector`."""
        return replace(
            self,
            coefficients=tuple(parameters[:-2].tolist()),
            intercept=float(parameters[-2]),
            nesting_log_potential=float(parameters[-1]),
        )

    def to_json(self) -> str:
        """The model as JSON, without loss."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StackingModel:
        """The model that `to_json` wrote.

        Raises:
            ValueError: the text is not a model.
        """
        values = json.loads(text)
        try:
            calibration = values["calibration"]
            return cls(
                feature_means=tuple(map(float, values["feature_means"])),
                feature_scales=tuple(map(float, values["feature_scales"])),
                coefficients=tuple(map(float, values["coefficients"])),
                intercept=float(values["intercept"]),
                nesting_log_potential=float(values["nesting_log_potential"]),
                threshold=float(values["threshold"]),
                training_sentences=int(values["training_sentences"]),
                proposes_capitalised=bool(values["proposes_capitalised"]),
                calibration=PlattScaling(float(calibration["slope"]), float(calibration["intercept"])),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a stacking model: {error}") from error
