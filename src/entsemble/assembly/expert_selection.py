"""SaM (arXiv 2506.22813): experts chosen for a target by its texts, and merged into members of the ensemble.

Choosing turns settings into settings: members that leave their experts to the texts are given them by name and weight.
What follows is the same ensemble as any other.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from entsemble.assembly.builder import Assembly
from entsemble.assembly.expert_files import expert_store
from entsemble.assembly.model_pool import ModelPool, ProgressCallbacks, member_name
from entsemble.assembly.zero_shot import calibration_biases, predict_mentions, score_extractor, zero_shot_extractor
from entsemble.data.annotated import without_mentions
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.errors import ConfigError, DataError
from entsemble.experts.card import Score
from entsemble.experts.selection import (
    ExpertWeights,
    MentionSet,
    agreement_with_gold,
    agreement_with_other_experts,
    domain_similarity,
    select_best,
)
from entsemble.experts.store import Expert
from entsemble.pool.leakage import text_keys
from entsemble.prompting.labels import readable_name
from entsemble.protocols import Encoder
from entsemble.settings import Environment, MemberSettings, Settings
from entsemble.types import Document, LabelSet


@dataclass(frozen=True, slots=True)
class Selection:
    """Which experts suit a target.

    Attributes:
        experts: that took part.
        domain: by the likeness of their training texts to the target's.
        sampled: by what they answer on a sample of it.
        labelled: whether the sample had gold mentions, or the experts were held against one another.
        texts, sample: sentences of the target that were compared, and tried on.
        far: expert -> why its training texts could not be compared.
        broken: expert -> why it could not take part at all.
        bias: `domain` and `sampled` -> what corrects the labels of that sum of experts; see `batch_calibration_bias`.
        unknown: labels asked for that none of them was trained on.
    """

    experts: tuple[Expert, ...]
    domain: ExpertWeights
    sampled: ExpertWeights
    labelled: bool
    texts: int
    sample: int
    far: Mapping[str, str]
    broken: Mapping[str, str]
    bias: Mapping[str, Mapping[str, float]]
    unknown: tuple[str, ...]


def adapt(
    settings: Settings,
    environment: Environment,
    target: Iterable[Document],
    progress: ProgressCallbacks | None = None,
    scored: Iterable[Document] = (),
    pool: Sequence[Document] | None = None,
) -> tuple[Settings, Iterator[Document], Selection | None]:
    """Give every member its experts, where it leaves them to the texts.

    Args:
        settings: where no member does, they are given back as they are, and nothing is read.
        environment: where experts and models are.
        target: the documents to be done; only the first of them are looked at.
        progress: told about downloads and how far it is.
        scored: documents whose mentions will be scored, which are never looked up in the pool.
        pool: in the place of the file that the settings name.

    Returns:
        The settings with experts by name, all documents of `target`, and what was found.

    Raises:
        ConfigError: members that differ in what they choose for; no experts to choose from.
        DataError: an expert or the pool cannot be read.
    """
    documents = iter(target)
    open_ones = [m for m in settings.members if isinstance(m.experts, str)]
    if not open_ones:
        return settings, documents, None
    first: list[Document] = []
    sentences: list[Document] = []
    while len(sentences) < settings.experts.target_sentences and (document := next(documents, None)) is not None:
        first.append(document)
        sentences += _sentences([document], settings)
    every = chain(first, documents)
    if not sentences:
        members = tuple(m.model_copy(update={"experts": {}}) if m in open_ones else m for m in settings.members)
        return settings.model_copy(update={"members": members}), every, None
    found = select_experts(settings, environment, sentences, progress, scored, pool)
    weights = {"domain": dict(found.domain.weights), "sampled": dict(found.sampled.weights)}
    resolved: list[MemberSettings] = []
    verifier = settings.verification.member
    for member in settings.members:
        if not isinstance(member.experts, str):
            resolved.append(member)
            continue
        told = {"experts": weights[member.experts], "bias": member.bias or dict(found.bias[member.experts])}
        given = member.model_copy(update=told)
        twin = next((other for other in resolved if _alike(given, other)), None)
        if twin is None:
            resolved.append(given)
        elif verifier == member_name(given):  # both views chose the same: one voice, not two
            verifier = member_name(twin)
    verification = settings.verification.model_copy(update={"member": verifier})
    return settings.model_copy(update={"members": tuple(resolved), "verification": verification}), every, found


def select_experts(
    settings: Settings,
    environment: Environment,
    target: Iterable[Document],
    progress: ProgressCallbacks | None = None,
    scored: Iterable[Document] = (),
    pool: Sequence[Document] | None = None,
) -> Selection:
    """SaM's two views of which experts suit a target.

    Args:
        settings: labels, pool, and the member that experts are for: the first that leaves them to the texts, or the
            first of all. Where there is a pool, its sentences are the sample, and its mentions what is right.
        environment: where experts and models are.
        target: its texts; at least one that is not empty. Their mentions are not looked at.
        progress: told about downloads and how far it is.
        scored: as for `adapt`.
        pool: as for `adapt`.

    Raises:
        ConfigError: there are no experts of that member's model.
        DataError: no text; an expert or the pool cannot be read.
    """
    progress, asked = progress or ProgressCallbacks(), settings.experts
    sentences = _sentences(target, settings)
    if not sentences:
        raise DataError("there is no text in the target that experts could be chosen for")
    member = _chosen_for(settings)
    with Assembly(settings, environment, progress, pool=pool) as assembly:
        annotated = assembly.pool_documents()
        labels = assembly.labels(annotated)
        experts, broken = candidates(assembly.models, member)
        domain, far = _domain(sentences, experts, assembly.encoder())
        draw = random.Random(settings.seed)
        split = sentence_splitter(settings.language)
        own = text_keys([*sentences, *scored], split)
        known = [d for d in annotated if own.isdisjoint(text_keys([d], split))]
        if not any(d.mentions for d in known):
            known = []  # they would say that every expert is as bad as the others
        sample = _sample(draw, known or sentences, asked.sample_sentences)
        answers = _answers(assembly.models, member, experts, labels, sample, progress)
        gold = [_answer(d) for d in sample]
        scores = agreement_with_gold(answers, gold) if known else agreement_with_other_experts(answers)
        chosen = {
            view: _chosen(of, answers, asked.max_experts) for view, of in (("domain", domain), ("sampled", scores))
        }
        sums = {view: choice.weights for view, choice in chosen.items()}
        bias = calibration_biases(assembly.models, member, experts, labels, sample, sums)
    trained_on = {form for e in experts for label in e.card.labels for form in (label, readable_name(label))}
    return Selection(
        experts=tuple(experts),
        domain=chosen["domain"],
        sampled=chosen["sampled"],
        labelled=bool(known),
        texts=len(sentences),
        sample=len(sample),
        far=far,
        broken=broken,
        bias=bias,
        unknown=tuple(x.name for x in labels if not {x.name, x.readable} & trained_on),
    )


def evaluate_experts(
    settings: Settings,
    environment: Environment,
    gold: Sequence[Document],
    labels: LabelSet,
    progress: ProgressCallbacks | None = None,
) -> Iterator[tuple[str, Score]]:
    """Each expert by itself on annotated documents; first its base, called `""`, as it is.

    Raises:
        ConfigError: there are no experts of the member's model.
        DataError: an expert cannot be read.
    """
    member = _chosen_for(settings)
    parts = (part for d in gold for part in split_document(d, language=settings.language))
    sentences = [part for part in parts if part.text.strip()]
    progress = progress or ProgressCallbacks()
    with closing(ModelPool(settings, environment, progress)) as models:
        experts, broken = candidates(models, member)
        if broken:
            name, why = next(iter(broken.items()))
            raise DataError(f"the expert {name}: {why}")
        wanted: dict[str, dict[str, float]] = {"": {}, **_each(experts)}
        for i, (name, model) in enumerate(models.weighted_sums(member, experts, wanted).items()):
            progress.on_step("scoring the experts", i, len(wanted))
            extractor = zero_shot_extractor(
                model, labels, member.template, settings.language, workers=models.batch_size(member)
            )
            yield name, score_extractor(extractor, sentences, "given")


def candidates(models: ModelPool, member: MemberSettings) -> tuple[list[Expert], dict[str, str]]:
    """The experts that a member may choose from: those of its model and prompt shape.

    Those that were merged from others, and those that are there for others to start from, stand back, unless they are
    named.

    Returns:
        The experts, and why others, which nobody named, cannot take part.

    Raises:
        ConfigError: there are none, or one that is named is for another model.
        DataError: one that is named is broken.
        UnknownNameError: one that is named is not there.
    """
    store, base = expert_store(models.environment), models.base_checksum(member)
    named = models.settings.experts.names
    found, broken = store.whole(named or None)
    if named and broken:
        raise next(iter(broken.values()))
    fitting = [e for e in found if e.card.base_sha256 == base and e.card.template == member.template]
    if strange := [e.card.name for e in found if e not in fitting and named]:
        raise ConfigError(f"{strange[0]} is no expert for {member.model} with the prompt shape {member.template}")
    chosen = [e for e in fitting if named or (e.card.recipe is None and not e.card.foundation)]
    if not chosen:
        raise ConfigError(
            f"no experts of {member.model}: train one with `entsemble experts train`, or give a --pool of annotated "
            f"sentences and let the models learn from those"
        )
    return chosen, {name: str(error) for name, error in broken.items()}


def _chosen_for(settings: Settings) -> MemberSettings:
    open_ones = [m for m in settings.members if isinstance(m.experts, str)] or list(settings.members)
    shapes = {(m.model, m.template) for m in open_ones if isinstance(m.experts, str)}
    if not open_ones:
        raise ConfigError("no members: experts are chosen for the model of one")
    if len(shapes) > 1:
        raise ConfigError("members that leave their experts to the texts must have one model and prompt shape")
    return open_ones[0]


def _domain(
    sentences: Sequence[Document], experts: Sequence[Expert], encoder: Encoder
) -> tuple[dict[str, float], dict[str, str]]:
    """How near each expert's training texts are, and why some cannot be compared."""
    known, far = {}, {}
    for expert in experts:
        vectors = expert.card.vectors
        if vectors is None:
            far[expert.card.name] = "its card does not say where its texts lie"
        elif vectors.encoder != encoder.weights_fingerprint:
            far[expert.card.name] = f"its texts were placed by {vectors.encoder}, not {encoder.weights_fingerprint}"
        else:
            known[expert.card.name] = np.array(vectors.rows, dtype=np.float32)
    if not known:
        return {}, far
    target = encoder.encode([d.text for d in sentences])
    for name in [name for name, rows in known.items() if rows.shape[1] != target.shape[1]]:
        far[name] = f"its texts were placed in {known.pop(name).shape[1]} dimensions, not {target.shape[1]}"
    return domain_similarity(target, known), far


def _answers(
    models: ModelPool,
    member: MemberSettings,
    experts: Sequence[Expert],
    labels: LabelSet,
    sample: Sequence[Document],
    progress: ProgressCallbacks,
) -> dict[str, list[MentionSet]]:
    asked = models.weighted_sums(member, experts, _each(experts))
    found: dict[str, list[MentionSet]] = {}
    for i, expert in enumerate(experts):
        progress.on_step("trying the experts", i, len(experts))
        extractor = zero_shot_extractor(
            asked[expert.card.name],
            labels,
            member.template,
            models.settings.language,
            workers=models.batch_size(member),
        )
        found[expert.card.name] = [_answer(d) for d in predict_mentions(extractor, sample)]
    progress.on_step("trying the experts", len(experts), len(experts))
    return found


def _each(experts: Sequence[Expert]) -> dict[str, dict[str, float]]:
    return {e.card.name: {e.card.name: 1.0} for e in experts}


def _answer(document: Document) -> MentionSet:
    return frozenset((m.start, m.end, m.label) for m in document.mentions)


def _sample(draw: random.Random, sentences: Sequence[Document], count: int) -> list[Document]:
    """Some sentences; where those drawn show no mention and others do, of these."""
    found = draw.sample(list(sentences), min(count, len(sentences)))
    full = [d for d in sentences if d.mentions]
    return found if not full or any(d.mentions for d in found) else draw.sample(full, min(count, len(full)))


def _chosen(scores: Mapping[str, float], experts: Iterable[str], most: int) -> ExpertWeights:
    """The best; where the scores tell nothing, all alike."""
    if any(scores.values()):
        return select_best(scores, most)
    every = list(experts)
    return ExpertWeights(dict(scores), dict.fromkeys(every, 1 / len(every)))


def _sentences(documents: Iterable[Document], settings: Settings) -> list[Document]:
    """The first that say something, cut where the text says so: not even mentions that are there have a say in it."""
    parts = (part for d in documents for part in split_document(without_mentions(d), language=settings.language))
    return list(islice((part for part in parts if part.text.strip()), settings.experts.target_sentences))


def _alike(one: MemberSettings, other: MemberSettings) -> bool:
    return one.model_copy(update={"name": None}) == other.model_copy(update={"name": None})
