"""Training of the scorer on the pool's own sentences, once for a pool and its ensemble."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from entsemble.assembly.progress import ProgressCallbacks
from entsemble.backends.voice_spec import LEARNING_KINDS, parse_voice
from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.pool.capitalised import are_mostly_capitalised
from entsemble.pool.leakage import LeakageGuard
from entsemble.protocols import Mapper
from entsemble.retrieval.embedding_cache import PoolCache
from entsemble.scoring.examples import ScoredSentence
from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import load_pretrained
from entsemble.settings import Settings
from entsemble.types import Document, LabelSet

_MIN_SENTENCES, _MIN_MENTIONS = 20, 40
"""A smaller pool would hardly correct the pre-trained weights, so that it is not trained on by default."""

_TRAINING_SHARE = 5
"""By default, one in so many of the pool's sentences is trained on, within the limits below."""

_MIN_TRAINING, _MAX_TRAINING = 40, 80
"""More sentences calibrate better (`benchmarks/quality/teaching.py`); each costs as much as a sentence of the user."""

_MAX_TRAINING_WITHOUT_MEMBERS = 400
"""Voices without a language model answer a sentence in milliseconds."""


_FOLDS = 5
"""Consecutive parts of a pool. A sentence is trained on with a pool that lacks its part, since the sentences of a
document follow one another in a file."""


def fold_of(index: int, count: int) -> int:
    """The fold of the sentence at an index of a pool of `count` sentences."""
    return index * _FOLDS // count


def fold_indices(fold: int, leakage_guard: LeakageGuard) -> set[int]:
    """The sentences of a fold, and those of other folds that have the same text as one of them."""
    documents = leakage_guard.documents
    held_out = {index for index in range(len(documents)) if fold_of(index, len(documents)) == fold}
    leaking = (leakage_guard.leaking_indices(documents[index].text) for index in held_out)
    return held_out.union(*leaking)


def uses_stacking(settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether a learned scorer decides: the settings name no vote, and the pool is not too small.

    Without members, a pool of fewer than 20 sentences makes answers worse than no pool would
    (`benchmarks/quality/small_pools.py`): voices then vote as they do without one, beside the names of the pool.
    """
    min_sentences = 1 if settings.members else _MIN_SENTENCES
    return settings.classification.vote is None and len(documents) >= min_sentences


def asks_voices_first(settings: Settings) -> bool:
    """Whether members are asked only about what voices, which learn from the pool, leave open."""
    kinds = {parse_voice(voice.model).kind for voice in settings.voices}
    return bool(settings.members) and not kinds.isdisjoint(LEARNING_KINDS)


def trains_on_pool(settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether the scorer is trained on sentences of this pool, or else only pre-trained."""
    sentences = settings.stacking.sentences
    if not uses_stacking(settings, documents) or sentences == 0:
        return False
    if sentences is not None:
        return True
    return len(documents) >= _MIN_SENTENCES and sum(len(document.mentions) for document in documents) >= _MIN_MENTIONS


def training_order(settings: Settings, documents: Sequence[Document]) -> list[int]:
    """Indices of the pool's sentences, in the order in which they are trained on.

    Independent of the texts to be processed, so that runs on different texts train on nearly the same sentences.
    """
    return random.Random(settings.seed).sample(range(len(documents)), len(documents))


def training_size(settings: Settings, documents: Sequence[Document]) -> int:
    """How many sentences of the pool are trained on."""
    if settings.stacking.sentences is not None:
        return settings.stacking.sentences
    if not settings.members or asks_voices_first(settings):
        return _MAX_TRAINING_WITHOUT_MEMBERS
    return member_training_size(settings, documents)


def member_training_size(settings: Settings, documents: Sequence[Document]) -> int:
    """How many of the sentences that are trained on the members are asked about."""
    if settings.stacking.sentences is not None:
        return settings.stacking.sentences
    return min(_MAX_TRAINING, max(_MIN_TRAINING, len(documents) // _TRAINING_SHARE))


def proposes_capitalised(settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether capitalised spans are candidates too: as the settings say, or if most of the pool's mentions are such."""
    configured = settings.stacking.capitalised
    return are_mostly_capitalised(documents) if configured is None else configured


def prior_model(settings: Settings, feature_extractor: FeatureExtractor, *, with_capitalised: bool) -> StackingModel:
    """The pre-trained model for an ensemble: the prior of what is trained on its pool."""
    pretrained = load_pretrained(with_members=bool(settings.members), voices_first=asks_voices_first(settings))
    return pretrained.for_features(feature_extractor.feature_names, proposes_capitalised=with_capitalised)


@dataclass(frozen=True, slots=True)
class TrainingSentence:
    """An annotated sentence of the pool, and an ensemble whose pool lacks that part of the file.

    Attributes:
        document: the sentence; the ensemble does not see its annotation.
        pipeline: the ensemble, without a trained scorer.
        feature_extractor: of the same members and the same pool as the pipeline.
        position: of the sentence in the order of training.
    """

    document: Document
    pipeline: Pipeline
    feature_extractor: FeatureExtractor
    position: int


@dataclass(frozen=True, slots=True)
class TrainingSentences:
    """The sentences to train on, whose ensembles are built one after the other, so that they are not all in memory.

    Attributes:
        count: how many there are.
        iterate: the sentences, those with the same ensemble together.
    """

    count: int
    iterate: Callable[[], Iterator[TrainingSentence]]


def train_on_pool(
    sentences: TrainingSentences,
    labels: LabelSet,
    pretrained: StackingModel,
    mapper: Mapper,
    *,
    cache: PoolCache,
    cache_key: str,
    use_cached: bool,
    progress: ProgressCallbacks,
) -> StackingModel:
    """Train the scorer on what the ensemble predicts for sentences of the pool.

    Args:
        sentences: to train on, unless the trained model is cached.
        labels: those asked for.
        pretrained: the prior of the weights.
        mapper: runs the sentences.
        cache: where the model is looked up, and stored unless a member failed.
        cache_key: of all that the model depends on.
        use_cached: whether to look it up.
        progress: called after each sentence, and with a warning if nothing is trained.

    Returns:
        The trained model; the pre-trained one if there is too little to train on, or if more sentences fail than
        succeed, since a run should not end for that.
    """
    if use_cached and (cached := cache.get(cache_key, [""])):
        with suppress(ValueError):  # of another version, or damaged
            return StackingModel.from_json(cached[""].decode()) if cached[""] else pretrained

    scored, errors = score_sentences(sentences, mapper, progress)
    if len(errors) > len(scored):
        reason = f"{len(errors)} of {sentences.count} training sentences failed; {errors[0]}"
        progress.on_warning(f"the pre-trained vote weights are used: {reason}")
        return pretrained
    model = fit_model(scored, labels, pretrained)
    if model is None:
        progress.on_warning(
            f"the pre-trained vote weights are used: {len(scored)} sentences of the pool are too little to train on"
        )
    if errors:
        progress.on_warning(
            f"{len(errors)} of {sentences.count} training sentences failed, so the next run trains again; {errors[0]}"
        )
    else:
        cache.put(cache_key, {"": model.to_json().encode() if model else b""})
    return model or pretrained


def score_sentences(
    sentences: TrainingSentences, mapper: Mapper, progress: ProgressCallbacks
) -> tuple[list[ScoredSentence], list[ModelError]]:
    """What the ensembles predict for their sentences, and the errors of others, each in the order of training.

    A sentence that is too long for a member is in neither.
    """

    def predict(sentence: TrainingSentence) -> tuple[TrainingSentence, SentenceResult | ModelError]:
        try:
            return sentence, sentence.pipeline.run(sentence.document.text)
        except ModelError as error:
            return sentence, error

    scored: dict[int, ScoredSentence] = {}
    errors: dict[int, ModelError] = {}
    for done_count, (sentence, result) in enumerate(mapper.map(predict, sentences.iterate()), 1):
        progress.on_step("training on the pool", done_count, sentences.count)
        if isinstance(result, PromptTooLongError):
            continue
        if isinstance(result, ModelError):
            errors[sentence.position] = result
        elif result.absent_members:
            errors[sentence.position] = MemberDownError(*next(iter(result.absent_members.items())))
        else:
            features = sentence.feature_extractor
            scored[sentence.position] = ScoredSentence.from_verdicts(features, sentence.document, result.verdicts)
    return [scored[position] for position in sorted(scored)], [errors[position] for position in sorted(errors)]
