"""What the ensemble learns about its votes from its own pool, kept on disk so that it is paid once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from entsemble.assemble.models import Watch
from entsemble.ensemble.pipeline import Pipeline, Result
from entsemble.ensemble.stacking import Answered, Evidence, Weights, learn
from entsemble.errors import MemberDownError, ModelError, PromptTooLongError
from entsemble.protocols import Mapper
from entsemble.retrieval.store import Store
from entsemble.types import Document


def learnt(
    pipeline: Pipeline,
    evidence: Evidence,
    drawn: Sequence[Document],
    mapper: Mapper,
    *,
    kept: tuple[Store, str],
    anew: bool,
    watch: Watch,
) -> Weights | None:
    """Answer sentences of the pool, each as if the pool did not hold it, and learn from them.

    Args:
        pipeline: that answers; what it learnt before plays no part.
        evidence: from the same members and pool.
        drawn: annotated sentences; those that a member cannot answer are left out.
        mapper: where they are answered.
        kept: where what was learnt is looked up, and kept, and the name of all that shapes it.
        anew: whether it is learnt though it is kept.
        watch: told how many sentences are answered, and why nothing is learnt.

    Returns:
        `None` where they teach too little, or members fail at more of them than they answer: a run does not end for
        want of it.
    """
    store, owner = kept
    if not anew and (found := store.get(owner, [""])):
        with suppress(ValueError):  # of another version, or damaged: learnt anew
            return Weights.from_json(found[""].decode()) if found[""] else None

    def answer(document: Document) -> tuple[Document, Result | ModelError]:
        try:
            return document, pipeline.run(document.text)
        except ModelError as error:
            return document, error

    answered: list[Answered] = []
    failed: list[ModelError] = []
    for number, (document, result) in enumerate(mapper.map(answer, drawn), 1):
        watch.step("answering the pool to learn from it", number, len(drawn))
        if isinstance(result, ModelError):
            failed += [] if isinstance(result, PromptTooLongError) else [result]
        elif result.absent:
            failed.append(MemberDownError(*next(iter(result.absent.items()))))
        else:
            answered.append(Answered(document, result.verdicts))
    if len(failed) > len(answered):
        watch.warn(f"the votes are counted: {len(failed)} of {len(drawn)} sentences to learn from failed; {failed[0]}")
        return None
    weights = learn(answered, evidence)
    if weights is None:
        watch.warn(f"the votes are counted: {len(answered)} sentences of the pool teach too little about them")
    store.put(owner, {"": weights.to_json().encode() if weights else b""})
    return weights
