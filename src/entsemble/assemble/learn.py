"""What the ensemble learns about its votes from its own pool, kept on disk so that it is paid once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from entsemble.ensemble.pipeline import Pipeline, Result
from entsemble.ensemble.stacking import Answered, Evidence, Weights, learn
from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.protocols import Mapper
from entsemble.retrieval.store import OnStep, Store
from entsemble.types import Document


def learnt(
    pipeline: Pipeline,
    evidence: Evidence,
    drawn: Sequence[Document],
    mapper: Mapper,
    *,
    kept: tuple[Store, str],
    on_step: OnStep,
) -> Weights | None:
    """Answer sentences of the pool, each as if the pool did not hold it, and learn from them.

    Args:
        pipeline: that answers; what it learnt before plays no part.
        evidence: from the same members and pool.
        drawn: annotated sentences; those that a member cannot answer are left out.
        mapper: where they are answered.
        kept: where what was learnt is looked up, and kept if every member could answer, and the name of all that shapes
            it.
        on_step: told how many sentences are answered.

    Returns:
        `None` where they teach too little.

    Raises:
        ModelError: members fail at more sentences than they answer.
    """
    store, owner = kept
    if found := store.get(owner, [""]):
        with suppress(ValueError):  # of another version, or damaged: learnt anew
            return Weights.from_json(found[""].decode()) if found[""] else None

    def answer(document: Document) -> tuple[Document, Result | ModelError]:
        try:
            return document, pipeline.run(document.text)
        except ModelError as error:
            return document, error

    answered, failed = [], []
    for number, (document, result) in enumerate(mapper.map(answer, drawn), 1):
        on_step(number, len(drawn))
        if isinstance(result, ModelError):
            failed += [] if isinstance(result, PromptTooLongError) else [result]
        elif result.absent:
            failed += [MemberDownError(*absent) for absent in result.absent.items()]
        else:
            answered.append(Answered(document, result.verdicts))
    if len(failed) > len(answered):
        raise failed[0]
    weights = learn(answered, evidence)
    if not failed:
        store.put(owner, {"": weights.to_json().encode() if weights else b""})
    return weights
