"""Experts without demonstrations, as they are trained: alone, together, and how well they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from entsemble.assembly.example_pool import ZERO_SHOT
from entsemble.assembly.model_pool import ModelPool
from entsemble.data.annotated import without_mentions
from entsemble.errors import PromptTooLongError
from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts, span_counts
from entsemble.execution.threads import LocalMapper
from entsemble.experts.card import Score
from entsemble.experts.store import Expert
from entsemble.extractor import LocalExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.template import load_template
from entsemble.protocols import LanguageModel
from entsemble.settings import MemberSettings
from entsemble.types import Document, LabelSet
from entsemble.voting.rules import VOTING_RULES, Ballot, Verdict, VotingRule, batch_calibration_bias

_THRESHOLD = 0.5
"""Score that a mention needs."""


def zero_shot_extractor(
    model: LanguageModel,
    labels: LabelSet,
    template_name: str,
    language: str,
    *,
    vote: VotingRule = VOTING_RULES["union"],
    workers: int = 1,
) -> LocalExtractor:
    """An ensemble of one model without demonstrations; see `zero_shot_ensemble`."""
    return zero_shot_ensemble({"expert": (model, {})}, labels, template_name, language, vote=vote, workers=workers)


def zero_shot_ensemble(
    models: Mapping[str, tuple[LanguageModel, Mapping[str, float]]],
    labels: LabelSet,
    template_name: str,
    language: str,
    *,
    vote: VotingRule = VOTING_RULES["union"],
    threshold: float | None = _THRESHOLD,
    workers: int = 1,
) -> LocalExtractor:
    """An ensemble without demonstrations.

    Args:
        models: name -> the model, and label -> what is added to its log-probability.
        labels: those asked for.
        template_name: prompt template of the models.
        language: of the texts, for sentence boundaries.
        vote: how ballots become verdicts.
        threshold: score that a mention needs.
        workers: sentences in flight.
    """
    template, zero_shot = load_template(template_name), load_template(ZERO_SHOT)
    members = [Member(name, model, template, zero_shot, bias=bias) for name, (model, bias) in models.items()]
    pipeline = Pipeline(members, labels, None, DecisionRules(vote, threshold, None, 0.5, DemonstrationLimits(0)))
    return LocalExtractor(pipeline, LocalMapper(workers), language, {})


def predict_mentions(extractor: LocalExtractor, sentences: Sequence[Document]) -> Iterator[Document]:
    """The sentences with predicted mentions instead of their own; one that is too long has none.

    Raises:
        ModelError: a model does not answer.
    """
    for result in extractor.extract(map(without_mentions, sentences)):
        if isinstance(result, Failed) and not isinstance(result.error, PromptTooLongError):
            raise result.error
        yield result.document


def count_matches(extractor: LocalExtractor, gold: Sequence[Document]) -> tuple[list[Counts], list[Counts]]:
    """For each annotated sentence, the exact matches with labels, and those of spans alone.

    Raises:
        ModelError: a model does not answer.
    """
    pairs = list(zip(gold, predict_mentions(extractor, gold), strict=True))
    labelled = [exact_counts(expected.mentions, predicted.mentions).micro for expected, predicted in pairs]
    return labelled, [span_counts(expected.mentions, predicted.mentions) for expected, predicted in pairs]


def score_extractor(extractor: LocalExtractor, gold: Sequence[Document], data_name: str) -> Score:
    """The F1 on annotated sentences, for a card.

    Args:
        extractor: to be scored.
        gold: annotated sentences.
        data_name: what the card calls them.

    Raises:
        ModelError: a model does not answer.
    """
    labelled, spans = count_matches(extractor, gold)
    return Score(
        data=data_name,
        sentences=len(gold),
        f1=sum(labelled, Counts()).f1,
        f1_ci95=f1_interval(labelled),
        spans_f1=sum(spans, Counts()).f1,
    )


def calibration_biases(
    models: ModelPool,
    member: MemberSettings,
    experts: Sequence[Expert],
    labels: LabelSet,
    sample: Sequence[Document],
    sums: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
    """For each sum of experts, its label biases on a sample; see `batch_calibration_bias`.

    Args:
        models: of the run.
        member: whose model it is.
        experts: those in the sums.
        labels: those asked for.
        sample: sentences; their mentions are ignored.
        sums: name of a sum -> expert -> weight.

    Returns:
        Name of a sum -> label -> what is to be added to its log-probability.

    Raises:
        ModelError: a model does not answer.
    """
    biases = {}
    for name, model in models.weighted_sums(member, experts, sums).items():
        vote = _RecordingVote()
        language, workers = models.settings.language, models.batch_size(member)
        extractor = zero_shot_extractor(model, labels, member.template, language, vote=vote, workers=workers)
        for _ in predict_mentions(extractor, sample):
            pass
        biases[name] = batch_calibration_bias(vote.log_probabilities)
    return biases


class _RecordingVote:
    """The union vote, which records the log-probabilities of all exact ballots."""

    def __init__(self) -> None:
        self.log_probabilities: list[Mapping[str, float]] = []

    def __call__(self, ballots: Sequence[Ballot]) -> Verdict:
        self.log_probabilities.extend(ballot.log_probabilities for ballot in ballots if ballot.exact)
        return VOTING_RULES["union"](ballots)
