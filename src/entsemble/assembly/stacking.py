"""What the ensemble learns about its votes from its own pool, kept on disk so that it is paid once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from entsemble.assembly.model_pool import ProgressCallbacks
from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.protocols import Mapper
from entsemble.retrieval.embedding_cache import PoolCache
from entsemble.scoring.examples import ScoredSentence
from entsemble.scoring.features import FeatureExtractor
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.types import Document, LabelSet


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """An annotated sentence of the pool, and an ensemble that answers it and knows nothing from around it.

    Attributes:
        document: with its annotation, which the ensemble does not see.
        pipeline: that answers; what it learnt before plays no part.
        evidence: from the same members and the same part of the pool.
    """

    document: Document
    pipeline: Pipeline
    evidence: FeatureExtractor


def learnt(
    questions: Callable[[], Sequence[TrainingQuestion]],
    labels: LabelSet,
    prior: StackingModel,
    mapper: Mapper,
    *,
    kept: tuple[PoolCache, str],
    anew: bool,
    progress: ProgressCallbacks,
) -> StackingModel:
    """Answer sentences of the pool, each as if the pool held nothing from around it, and learn from them.

    Args:
        questions: made where nothing is kept; those that a member cannot answer are left out.
        labels: asked for.
        prior: what is believed before.
        mapper: where they are answered.
        kept: where what was learnt is looked up, and kept unless a member failed, and the name of all that shapes it.
        anew: whether it is learnt though it is kept.
        progress: told how many sentences are answered, and why nothing is learnt.

    Returns:
        The prior where they teach too little, or members fail at more of them than they answer: a run does not end for
        want of it.
    """
    store, owner = kept
    if not anew and (found := store.get(owner, [""])):
        with suppress(ValueError):  # of another version, or damaged: learnt anew
            return StackingModel.from_json(found[""].decode()) if found[""] else prior

    asked = questions()
    answered, failed = answers(asked, mapper, progress)
    if len(failed) > len(answered):
        told = f"{len(failed)} of {len(asked)} sentences to learn from failed; {failed[0]}"
        progress.on_warning(f"the votes are judged by what other corpora taught: {told}")
        return prior
    weights = fit_model(answered, labels, prior)
    if weights is None:
        told = f"{len(answered)} sentences of the pool teach too little about them"
        progress.on_warning(f"the votes are judged by what other corpora taught: {told}")
    if failed:
        told = f"{len(failed)} of {len(asked)} sentences failed; {failed[0]}"
        progress.on_warning(f"what the pool teaches is learnt without them, and again by the next run: {told}")
    else:
        store.put(owner, {"": weights.to_json().encode() if weights else b""})
    return weights or prior


def answers(
    questions: Sequence[TrainingQuestion], mapper: Mapper, progress: ProgressCallbacks
) -> tuple[list[ScoredSentence], list[ModelError]]:
    """Each question's answer, and why others have none; a sentence that is too long for a member is neither."""

    def answer(question: TrainingQuestion) -> tuple[TrainingQuestion, SentenceResult | ModelError]:
        try:
            return question, question.pipeline.run(question.document.text)
        except ModelError as error:
            return question, error

    answered: list[ScoredSentence] = []
    failed: list[ModelError] = []
    for number, (question, result) in enumerate(mapper.map(answer, questions), 1):
        progress.on_step("answering the pool to learn from it", number, len(questions))
        if isinstance(result, ModelError):
            failed += [] if isinstance(result, PromptTooLongError) else [result]
        elif result.absent_members:
            failed.append(MemberDownError(*next(iter(result.absent_members.items()))))
        else:
            answered.append(ScoredSentence.from_verdicts(question.evidence, question.document, result.verdicts))
    return answered, failed
