"""On flat mentions, exact matching agrees with seqeval on IOB2 tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import v1
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from seqeval.scheme import IOB2

from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Mention

LABELS = ("LOC", "ORG", "PER")
SIZE = 12

Sentence = tuple[tuple[str, ...], tuple[Mention, ...]]


@st.composite
def flat_sentence(draw: st.DrawFn) -> Sentence:
    """Tags of one sentence, and the mentions they stand for; each token is one character long."""
    tags: list[str] = []
    mentions: list[Mention] = []
    while len(tags) < SIZE:
        label, length = draw(st.sampled_from((None, *LABELS))), draw(st.integers(1, min(3, SIZE - len(tags))))
        if label is None:
            tags += ["O"] * length
        else:
            mentions.append(Mention(len(tags), len(tags) + length, label, "x" * length))
            tags += [f"B-{label}"] + [f"I-{label}"] * (length - 1)
    return tuple(tags), tuple(mentions)


@st.composite
def prediction(draw: st.DrawFn, gold: Sentence) -> Sentence:
    """Another sentence or the gold one, so that some predictions are correct."""
    return draw(st.one_of(st.just(gold), flat_sentence()))


CORPORA = st.lists(
    flat_sentence().flatmap(lambda gold: st.tuples(st.just(gold), prediction(gold))), min_size=1, max_size=5
)


@given(CORPORA)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_micro_and_labels_equal_seqeval(corpus: list[tuple[Sentence, Sentence]]) -> None:
    ours = sum((exact_counts(gold[1], predicted[1]) for gold, predicted in corpus), LabelCounts())
    gold_tags, predicted_tags = [list(gold[0]) for gold, _ in corpus], [list(predicted[0]) for _, predicted in corpus]

    lenient = precision_recall_fscore_support(gold_tags, predicted_tags, average="micro", zero_division=0)
    strict = v1.precision_recall_fscore_support(
        gold_tags, predicted_tags, average="micro", zero_division=0, scheme=IOB2
    )
    for theirs in (lenient, strict):
        assert (ours.micro.precision, ours.micro.recall, ours.micro.f1) == pytest.approx(theirs[:3])

    by_label = precision_recall_fscore_support(gold_tags, predicted_tags, average=None, zero_division=0)
    assert len(ours) == len(by_label[0])
    for counts, *figures in zip(ours.values(), *by_label, strict=True):
        assert (counts.precision, counts.recall, counts.f1, counts.support) == pytest.approx(figures)


def test_correct_and_wrong_predictions_are_compared() -> None:
    gold = [Mention(0, 2, "PER", "xx"), Mention(3, 4, "LOC", "x")]
    predicted = [Mention(0, 2, "PER", "xx"), Mention(3, 5, "LOC", "xx")]
    tags = [["B-PER", "I-PER", "O", "B-LOC", "O"]], [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]]
    assert exact_counts(gold, predicted).micro == Counts(1, 1, 1)
    assert precision_recall_fscore_support(*tags, average="micro")[:3] == pytest.approx((0.5, 0.5, 0.5))
