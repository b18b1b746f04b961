"""The stacking model that is pre-trained on open corpora: the prior of every fit.

Feature weights vary between corpora, but much less than they differ from zero. So the weights learned on open corpora
(`tools/release/scorer.py`, stored in `pretrained.json`) are the prior mean of every fit, and are used unchanged where a
pool is too small to learn from (empirical Bayes). They depend on no member and no label: all members share one weight.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from entsemble.scoring.features import MEMBER_FEATURES
from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import PlattScaling

WITH_MEMBERS, WITHOUT_MEMBERS = map(Path(__file__).with_name, ("pretrained.json", "pretrained-voices.json"))
"""Files of the models for ensembles with language models, and with voices alone."""


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """The coefficient of a feature that is standardised by mean and scale."""

    mean: float
    scale: float
    coefficient: float


_UNKNOWN_FEATURE = FeatureWeight(mean=-4.0, scale=3.0, coefficient=0.0)
"""Of a voice that the model was not pre-trained with: it counts for what the pool shows that it is worth."""


@dataclass(frozen=True, slots=True)
class PretrainedModel:
    """A stacking model for any number of members.

    Attributes:
        features: by name, those of all members as one: the coefficient of the members' mean.
        intercept, nesting_log_potential, threshold, calibration: see `StackingModel`.
        training_sentences: name of each training corpus -> number of its sentences.
    """

    features: Mapping[str, FeatureWeight]
    intercept: float
    nesting_log_potential: float
    threshold: float
    calibration: PlattScaling
    training_sentences: Mapping[str, int]

    def for_features(self, feature_names: Sequence[str], *, proposes_capitalised: bool) -> StackingModel:
        """The model for these features; each member has an equal part of the coefficient of the members' mean."""
        weights = [self.features.get(name, _UNKNOWN_FEATURE) for name in feature_names]
        coefficients = [
            weight.coefficient / feature_names.count(name) for name, weight in zip(feature_names, weights, strict=True)
        ]
        return StackingModel(
            feature_means=tuple(weight.mean for weight in weights),
            feature_scales=tuple(weight.scale for weight in weights),
            coefficients=tuple(coefficients),
            intercept=self.intercept,
            nesting_log_potential=self.nesting_log_potential,
            threshold=self.threshold,
            training_sentences=0,
            proposes_capitalised=proposes_capitalised,
            calibration=self.calibration,
        )

    def with_features_of(self, other: PretrainedModel, names: Sequence[str]) -> PretrainedModel:
        """The model with these features of another one, which count for nothing until a pool teaches it."""
        added = {name: replace(other.features[name], coefficient=0.0) for name in names}
        return replace(self, features={**added, **self.features})

    def to_json(self) -> str:
        """The model as JSON, without loss."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> PretrainedModel:
        """The model that `to_json` wrote."""
        values = json.loads(text)
        features = {name: FeatureWeight(**weight) for name, weight in values["features"].items()}
        return cls(**{**values, "features": features, "calibration": PlattScaling(**values["calibration"])})


@cache
def load_pretrained(*, with_members: bool, voices_first: bool = False) -> PretrainedModel:
    """The model for an ensemble with or without language models.

    Args:
        with_members: whether there are language models.
        voices_first: whether they are asked only about what voices leave open; their weights begin at 0 then.
    """
    if with_members and voices_first:
        return load_pretrained(with_members=False).with_features_of(load_pretrained(with_members=True), MEMBER_FEATURES)
    file = WITH_MEMBERS if with_members else WITHOUT_MEMBERS
    return PretrainedModel.from_json(file.read_text(encoding="utf-8"))
