"""The score threshold that maximises expected F1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entsemble._lib.math import FloatArray
from entsemble.scoring.examples import ScoredSentence
from entsemble.types import LabelSet, Mention
from entsemble.voting.overlaps import resolve_overlaps

THRESHOLD_FRACTION_OF_MAX_F1 = 0.5
"""Of the highest expected F1: the optimal threshold for calibrated scores (Lipton et al., 2014, arXiv 1402.1892)."""


def expected_max_f1(
    sentences: Sequence[ScoredSentence], probabilities: Sequence[Sequence[FloatArray]], labels: LabelSet
) -> float:
    """The highest F1 over all thresholds, in expectation under the predicted probabilities.

    The number of correct mentions is their expectation, not a count against the annotation: the best threshold for a
    few annotated sentences is partly chance, and its F1 is too high.

    Args:
        sentences: with their annotation, which gives the number of mentions.
        probabilities: for each sentence, for each candidate, [labels].
        labels: in the order of the probabilities.
    """
    selected = [probability for probability, _ in selected_mentions(sentences, probabilities, labels)]
    gold_count = sum(len(sentence.gold) for sentence in sentences)
    expected_correct = np.cumsum(sorted(selected, reverse=True))
    predicted_count = np.arange(len(expected_correct)) + 1
    return float((2 * expected_correct / (predicted_count + gold_count)).max(initial=0.0))


def selected_mentions(
    sentences: Sequence[ScoredSentence], probabilities: Sequence[Sequence[FloatArray]], labels: LabelSet
) -> list[tuple[float, bool]]:
    """The most probable label of each candidate that no more probable candidate excludes.

    Args:
        sentences: with their annotation.
        probabilities: for each sentence, for each candidate, [labels].
        labels: in the order of the probabilities.

    Returns:
        For each such mention, in text order, its probability and whether it is correct.
    """
    return [
        mention
        for sentence, sentence_probabilities in zip(sentences, probabilities, strict=True)
        for mention in _selected_in(sentence, sentence_probabilities, labels)
    ]


def _selected_in(
    sentence: ScoredSentence, probabilities: Sequence[FloatArray], labels: LabelSet
) -> list[tuple[float, bool]]:
    mentions = [
        Mention(span.start, span.end, labels.names[int(np.argmax(of_labels))], surface, float(of_labels.max()))
        for span, surface, of_labels in zip(sentence.verdicts, sentence.surfaces, probabilities, strict=True)
    ]
    selected = resolve_overlaps(mentions, nested=labels.nested)[0]
    return [
        (mention.score or 0.0, (mention.start, mention.end, mention.label) in sentence.gold) for mention in selected
    ]
