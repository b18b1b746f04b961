"""Values that several tests of the scorer need."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from entsemble.data.windows import sentence_splitter
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import load_pretrained
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import NONE_LABEL, Document, LabelSet, Span
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.rules import Ballot, soft_vote
from tests.factories import mention, sentence

TOWNS = ("Oslo", "Rome", "Bern", "Riga", "Lima", "Cairo", "Turin", "Delhi", "Quito", "Accra")


def ballot(voter: str, label: str, probability: float, *, is_proposer: bool = True) -> Ballot:
    """A ballot with this probability of `label`, and equal ones of the two others."""
    rest = (1 - probability) / 2
    logs = {name: math.log(probability if name == label else rest) for name in ("LOC", "PER", NONE_LABEL)}
    return Ballot(voter, logs, exact=True, is_proposer=is_proposer)


def feature_extractor(
    labels: LabelSet,
    encoder: Any,
    *pool: Document,
    members: Sequence[str] = ("wrong", "right"),
    with_gazetteer: bool = True,
    voices: Sequence[SpanVoice] = (),
) -> FeatureExtractor:
    """An extractor over the statistics of a pool."""
    guard = LeakageGuard(pool, sentence_splitter())
    gazetteer = Gazetteer(guard, labels, 2) if with_gazetteer else None
    neighbours = NeighbourIndex(guard, labels, encoder, encoder)
    return FeatureExtractor(members, labels, gazetteer, neighbours, WordStatistics(guard, labels), voices)


def scored_sentences(count: int, extractor: FeatureExtractor) -> list[ScoredSentence]:
    """Sentences where the member "wrong" is always wrong and confident, and "right" is right and unsure."""
    generator, sentences = random.Random(0), []
    for number in range(count):
        town = generator.choice(TOWNS)
        text = f"{town} rained {number}"
        verdicts = {
            mention(text, surface, label).span: soft_vote([ballot("wrong", "PER", 0.9), ballot("right", label, 0.5)])
            for surface, label in ((town, "LOC"), ("rained", NONE_LABEL))
        }
        sentences.append(ScoredSentence.from_verdicts(extractor, sentence(text, (town, "LOC")), verdicts))
    return sentences


def vote_only_model(feature_count: int, **parameters: Any) -> StackingModel:
    """A model with the coefficient 1 for the first feature and 0 for the others."""
    zeros = (0.0,) * feature_count
    fields = {"feature_means": zeros, "feature_scales": (1.0,) * feature_count, "coefficients": (1.0, *zeros[1:])}
    defaults = {"intercept": 0.0, "nesting_log_potential": 0.0, "threshold": 0.5, "training_sentences": 0}
    return StackingModel(**{**fields, **defaults, **parameters})


def pretrained_model(extractor: FeatureExtractor) -> StackingModel:
    return load_pretrained(with_members=True).for_features(extractor.feature_names, proposes_capitalised=False)


def disjoint_spans(count: int) -> SpanCrf:
    """A distribution over spans that do not overlap."""
    return SpanCrf([Span(index, index + 1) for index in range(count)], nested=False)


def disjoint_example(features: Any, targets: Any) -> TrainingExample:
    """An example of disjoint candidates.

    Args:
        features: [candidates, labels, features].
        targets: [candidates, labels].
    """
    return TrainingExample(
        list(features), list(np.asarray(targets, dtype=float)), disjoint_spans(len(features)), enclosed_count=0
    )


def probabilities_alone(model: StackingModel, features: Any) -> Any:
    """[labels], the probabilities of a single candidate, from its features [labels, features]."""
    [probabilities] = model.predict([np.asarray(features)], disjoint_spans(1))
    return probabilities
