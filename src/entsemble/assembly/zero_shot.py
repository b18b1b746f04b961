"""Experts asked without demonstrations, as they are trained to be: alone, together, and how well they do."""

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

_SURE = 0.5
"""How much of its belief in an entity an expert by itself must give the label."""


def zero_shot_extractor(
    model: LanguageModel,
    labels: LabelSet,
    shape: str,
    language: str,
    *,
    vote: VotingRule = VOTING_RULES["union"],
    workers: int = 1,
) -> LocalExtractor:
    """One model, asked without demonstrations, as experts are trained to be."""
    return zero_shot_ensemble({"expert": (model, {})}, labels, shape, language, vote=vote, workers=workers)


def zero_shot_ensemble(
    models: Mapping[str, tuple[LanguageModel, Mapping[str, float]]],
    labels: LabelSet,
    shape: str,
    language: str,
    *,
    vote: VotingRule = VOTING_RULES["union"],
    threshold: float | None = _SURE,
    workers: int = 1,
) -> LocalExtractor:
    """Several models and what corrects the labels of each, asked without demonstrations.

    Args:
        models: name -> model, label -> what is added to its log-probability.
        labels: asked for.
        shape: the prompts' template.
        language: of the texts, for their sentence boundaries.
        vote: how results are put together.
        threshold: a mention needs at least this score.
        workers: sentences in flight; more than one pays where the model reads many at once.
    """
    asked, first = load_template(shape), load_template(ZERO_SHOT)
    members = [Member(name, model, asked, first, bias=bias) for name, (model, bias) in models.items()]
    pipeline = Pipeline(members, labels, None, DecisionRules(vote, threshold, None, 0.5, DemonstrationLimits(0)))
    return LocalExtractor(pipeline, LocalMapper(workers), language, {})


def predict_mentions(extractor: LocalExtractor, sentences: Sequence[Document]) -> Iterator[Document]:
    """Each sentence with what is found in it, whatever mentions it had; nothing in one that is too long.

    Raises:
        ModelError: a model does not answer.
    """
    for result in extractor.extract(map(without_mentions, sentences)):
        if isinstance(result, Failed) and not isinstance(result.error, PromptTooLongError):
            raise result.error
        yield result.document


def count_matches(extractor: LocalExtractor, gold: Sequence[Document]) -> tuple[list[Counts], list[Counts]]:
    """What is right of each annotated sentence, with labels and without; one that is too long: nothing is found.

    Raises:
        ModelError: a model does not answer.
    """
    answers = list(predict_mentions(extractor, gold))
    typed = [exact_counts(d.mentions, said.mentions).micro for d, said in zip(gold, answers, strict=True)]
    return typed, [span_counts(d.mentions, said.mentions) for d, said in zip(gold, answers, strict=True)]


def score_extractor(extractor: LocalExtractor, gold: Sequence[Document], named: str) -> Score:
    """How well an ensemble does on annotated sentences; see `count_matches`."""
    typed, spans = count_matches(extractor, gold)
    low, high = f1_interval(typed)
    return Score(
        data=named,
        sentences=len(gold),
        f1=sum(typed, Counts()).f1,
        f1_ci95=(low, high),
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
    """The `batch_calibration_bias` of each sum of experts, over what it extracts from the sample.

    Args:
        models: of the run.
        member: whose model it is.
        experts: that stand in the sums.
        labels: asked for.
        sample: sentences, whose mentions are not looked at.
        sums: name of a sum -> expert -> weight.

    Raises:
        ModelError: a model does not answer.
    """
    found = {}
    for view, model in models.weighted_sums(member, experts, sums).items():
        beliefs: list[Mapping[str, float]] = []

        def watched(ballots: Sequence[Ballot], beliefs: list[Mapping[str, float]] = beliefs) -> Verdict:
            beliefs.extend(b.log_probabilities for b in ballots if b.exact)
            return VOTING_RULES["union"](ballots)

        language, at_once = models.settings.language, models.batch_size(member)
        extractor = zero_shot_extractor(model, labels, member.template, language, vote=watched, workers=at_once)
        list(predict_mentions(extractor, sample))
        found[view] = batch_calibration_bias(beliefs)
    return found
