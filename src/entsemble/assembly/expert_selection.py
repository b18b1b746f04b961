"""SaM (arXiv 2506.22813): experts selected for a target by its texts, as members' settings.

Selection turns settings into settings: members that leave their experts to the texts are given experts by name and
weight. The ensemble that follows is like any other.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from entsemble.assembly.builder import Assembly
from entsemble.assembly.expert_files import expert_store
from entsemble.assembly.expert_trials import ExpertTrials, mention_set
from entsemble.assembly.members import member_name
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.data.annotated import without_mentions
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.errors import ConfigError, DataError
from entsemble.experts.selection import (
    ExpertWeights,
    agreement_with_gold,
    agreement_with_other_experts,
    domain_similarity,
    select_best,
)
from entsemble.experts.store import Expert
from entsemble.pool.leakage import text_keys
from entsemble.prompting.labels import readable_name
from entsemble.protocols import Encoder, Vectors
from entsemble.settings import Environment, MemberSettings, Settings
from entsemble.types import Document, LabelSet


@dataclass(frozen=True, slots=True)
class SelectionInputs:
    """What experts are selected with, apart from the texts.

    Attributes:
        settings: labels, pool and members. Experts are selected for the model of the first member that leaves them to
            the texts, or else of the first member. If there is a pool, its sentences are the sample that experts are
            scored on; otherwise sentences of the target are.
        environment: where experts and models are stored.
        progress: called as models are downloaded and experts are tried.
        held_out: documents whose mentions will be scored; the sample never contains them.
        examples: annotated documents, instead of the pool's file.
    """

    settings: Settings
    environment: Environment
    progress: ProgressCallbacks = field(default_factory=ProgressCallbacks)
    held_out: Sequence[Document] = ()
    examples: Sequence[Document] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which experts suit a target.

    Attributes:
        experts: those that were compared.
        domain: the choice by the similarity of their training texts to the target's.
        sampled: the choice by their predictions on a sample.
        uses_gold: whether predictions were compared with gold mentions, or else with each other.
        target_sentences: number of the target's sentences whose similarity was measured.
        sample_sentences: number of sentences that the experts were tried on.
        incomparable: expert -> why its training texts could not be compared.
        unusable: expert -> why it could not take part.
        biases: `domain` and `sampled` -> label -> correction; see `batch_calibration_bias`.
        unknown_labels: requested labels that no expert was trained on.
    """

    experts: tuple[Expert, ...]
    domain: ExpertWeights
    sampled: ExpertWeights
    uses_gold: bool
    target_sentences: int
    sample_sentences: int
    incomparable: Mapping[str, str]
    unusable: Mapping[str, str]
    biases: Mapping[str, Mapping[str, float]]
    unknown_labels: tuple[str, ...]


def adapt_to_documents(
    inputs: SelectionInputs, documents: Iterable[Document]
) -> tuple[Settings, Iterator[Document], Selection | None]:
    """Select experts for documents, if a member leaves them to the texts.

    Args:
        inputs: see there.
        documents: to be processed; only as many of the first as hold `[experts] target_sentences` are read here.

    Returns:
        Settings that name all experts, all of `documents`, and the selection; `None` if nothing was selected.

    Raises:
        ConfigError: members that cannot share a selection; no experts to select from.
        DataError: an expert or the pool cannot be read.
    """
    settings, remaining = inputs.settings, iter(documents)
    if not any(_selects_experts(member) for member in settings.members):
        return settings, remaining, None
    leading: list[Document] = []
    sentences: list[Document] = []
    while len(sentences) < settings.experts.target_sentences and (document := next(remaining, None)) is not None:
        leading.append(document)
        sentences += _first_sentences([document], settings)
    if not sentences:
        return _without_experts(settings), chain(leading, remaining), None
    selection = select_experts(inputs, sentences)
    return resolve_experts(settings, selection), chain(leading, remaining), selection


def resolve_experts(settings: Settings, selection: Selection) -> Settings:
    """Settings whose members name the selected experts.

    Two members that end up the same are one: otherwise one voice would count twice.
    """
    weights = {"domain": dict(selection.domain.weights), "sampled": dict(selection.sampled.weights)}
    resolved: list[MemberSettings] = []
    verifier = settings.verification.member
    for member in settings.members:
        if not isinstance(member.experts, str):
            resolved.append(member)
            continue
        bias = member.bias or dict(selection.biases[member.experts])
        candidate = member.model_copy(update={"experts": weights[member.experts], "bias": bias})
        nameless = candidate.model_copy(update={"name": None})
        duplicate = next((other for other in resolved if other.model_copy(update={"name": None}) == nameless), None)
        if duplicate is None:
            resolved.append(candidate)
        elif verifier == member_name(candidate):
            verifier = member_name(duplicate)
    verification = settings.verification.model_copy(update={"member": verifier})
    return settings.model_copy(update={"members": tuple(resolved), "verification": verification})


def _selects_experts(member: MemberSettings) -> bool:
    return isinstance(member.experts, str)


def _without_experts(settings: Settings) -> Settings:
    """The settings for texts without a word: members that leave their experts to the texts have none."""
    members = (
        member.model_copy(update={"experts": {}}) if _selects_experts(member) else member for member in settings.members
    )
    return settings.model_copy(update={"members": tuple(members)})


def select_experts(inputs: SelectionInputs, texts: Iterable[Document]) -> Selection:
    """Compare experts for a target in SaM's two ways: by similarity of domain, and by predictions on a sample.

    Args:
        inputs: see there.
        texts: the target; at least one text that is not empty. Mentions are ignored.

    Raises:
        ConfigError: there are no experts of the member's model.
        DataError: there is no text, or an expert or the pool cannot be read.
    """
    settings, progress = inputs.settings, inputs.progress
    sentences = _first_sentences(texts, settings)
    if not sentences:
        raise DataError("there is no text in the target that experts could be selected for")
    member = member_to_adapt(settings)
    with Assembly(settings, inputs.environment, progress, examples=inputs.examples) as assembly:
        pool = assembly.pool.documents()
        labels = assembly.pool.labels(pool)
        experts, unusable = candidate_experts(assembly.models, member)
        similarities, incomparable = _domain_similarities(sentences, experts, assembly.encoder())
        sample, uses_gold = _draw_sample(inputs, pool, sentences)
        trials = ExpertTrials(assembly.models, member, experts, labels, sample)
        answers = trials.answers()
        gold = [mention_set(document) for document in sample]
        agreement = agreement_with_gold(answers, gold) if uses_gold else agreement_with_other_experts(answers)
        choices = {
            view: _choose(scores, answers, settings.experts.max_experts)
            for view, scores in (("domain", similarities), ("sampled", agreement))
        }
        expert_sums = {view: choice.weights for view, choice in choices.items()}
        biases = trials.biases(expert_sums)
    return Selection(
        experts=tuple(experts),
        domain=choices["domain"],
        sampled=choices["sampled"],
        uses_gold=uses_gold,
        target_sentences=len(sentences),
        sample_sentences=len(sample),
        incomparable=incomparable,
        unusable=unusable,
        biases=biases,
        unknown_labels=_unknown_labels(labels, experts),
    )


def candidate_experts(models: ModelPool, member: MemberSettings) -> tuple[list[Expert], dict[str, str]]:
    """The experts that a member may select from: those of its model and prompt template.

    Merged experts and foundations take part only if the settings name them.

    Returns:
        The experts, and why others, which the settings do not name, cannot take part.

    Raises:
        ConfigError: there are none, or a named one is for another model.
        DataError: a named one cannot be read.
        UnknownNameError: a named one does not exist.
    """
    names, base_checksum = models.settings.experts.names, models.base_checksum(member)
    readable, unreadable = expert_store(models.environment).load_intact(names or None)
    if names and unreadable:
        raise next(iter(unreadable.values()))
    fitting = [
        expert
        for expert in readable
        if expert.card.base_sha256 == base_checksum and expert.card.template == member.template
    ]
    fitting_names = {expert.card.name for expert in fitting}
    unfitting = next((expert.card.name for expert in readable if expert.card.name not in fitting_names), None)
    if names and unfitting is not None:
        raise ConfigError(f"{unfitting} is not an expert for {member.model} with the prompt template {member.template}")
    candidates = [expert for expert in fitting if names or (expert.card.recipe is None and not expert.card.foundation)]
    if not candidates:
        raise ConfigError(
            f"no experts of {member.model}: train one with `entsemble experts train`, or give a --pool of annotated "
            f"sentences for the models to learn from"
        )
    return candidates, {name: str(error) for name, error in unreadable.items()}


def member_to_adapt(settings: Settings) -> MemberSettings:
    """The first member that leaves its experts to the texts, or else the first member.

    Raises:
        ConfigError: there is no member, or members that select are of different models or templates.
    """
    selecting = [member for member in settings.members if _selects_experts(member)]
    if not settings.members:
        raise ConfigError("no members: experts are selected for the model of a member")
    if len({(member.model, member.template) for member in selecting}) > 1:
        raise ConfigError("members that leave their experts to the texts must have one model and prompt template")
    return (selecting or settings.members)[0]


def _domain_similarities(
    sentences: Sequence[Document], experts: Sequence[Expert], encoder: Encoder
) -> tuple[dict[str, float], dict[str, str]]:
    """How similar each expert's training texts are to the target's, and why some cannot be compared."""
    centroids: dict[str, Vectors] = {}
    incomparable: dict[str, str] = {}
    encoder_fingerprint = encoder.weights_fingerprint
    for expert in experts:
        name, vectors = expert.card.name, expert.card.vectors
        if vectors is None:
            incomparable[name] = "its card holds no vectors of its training texts"
        elif vectors.encoder != encoder_fingerprint:
            incomparable[name] = f"its vectors are of the encoder {vectors.encoder}, not {encoder_fingerprint}"
        else:
            centroids[name] = np.array(vectors.rows, dtype=np.float32)
    if not centroids:
        return {}, incomparable
    target = encoder.encode([sentence.text for sentence in sentences])
    dimensions = target.shape[1]
    for name in [name for name, rows in centroids.items() if rows.shape[1] != dimensions]:
        incomparable[name] = f"its vectors have {centroids.pop(name).shape[1]} dimensions, not {dimensions}"
    return domain_similarity(target, centroids), incomparable


def _draw_sample(
    inputs: SelectionInputs, pool: Sequence[Document], sentences: Sequence[Document]
) -> tuple[list[Document], bool]:
    """The sentences that experts are tried on, and whether their mentions are gold.

    Sentences of the pool, apart from those of the target or held out, if they hold a mention; otherwise of the target.
    If the drawn sentences hold no mention but others do, the sample is drawn from these others.
    """
    settings = inputs.settings
    split = sentence_splitter(settings.language)
    excluded = text_keys([*sentences, *inputs.held_out], split)
    annotated = [document for document in pool if excluded.isdisjoint(text_keys([document], split))]
    uses_gold = any(document.mentions for document in annotated)
    population = annotated if uses_gold else list(sentences)
    generator, size = random.Random(settings.seed), settings.experts.sample_sentences
    sample = generator.sample(population, min(size, len(population)))
    with_mentions = [document for document in population if document.mentions]
    if with_mentions and not any(document.mentions for document in sample):
        sample = generator.sample(with_mentions, min(size, len(with_mentions)))
    return sample, uses_gold


def _choose(scores: Mapping[str, float], names: Iterable[str], max_experts: int) -> ExpertWeights:
    """The best experts; all of them with equal weights if no score is above 0."""
    if any(scores.values()):
        return select_best(scores, max_experts)
    every_name = list(names)
    return ExpertWeights(dict(scores), dict.fromkeys(every_name, 1 / len(every_name)))


def _unknown_labels(labels: LabelSet, experts: Iterable[Expert]) -> tuple[str, ...]:
    trained_names = {
        name for expert in experts for label in expert.card.labels for name in (label, readable_name(label))
    }
    return tuple(label.name for label in labels if not {label.name, label.readable} & trained_names)


def _first_sentences(documents: Iterable[Document], settings: Settings) -> list[Document]:
    """The first sentences that are not empty. Mentions are removed first, so that they do not affect the splitting."""
    windows = (
        window
        for document in documents
        for window in split_document(without_mentions(document), language=settings.language)
    )
    return list(islice((window for window in windows if window.text.strip()), settings.experts.target_sentences))
