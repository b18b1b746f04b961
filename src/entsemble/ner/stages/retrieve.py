"""Stage 1, demonstration retrieval by span-level similarity (EL4NER, step 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line
from entsemble.ner.member import Member, MemberPrompt
from entsemble.ner.stages.extract import extract
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.demonstration import Demonstration, build_demonstration
from entsemble.prompting.render import render_extraction_prompt
from entsemble.retrieval.index import Hit, PoolIndex, Query
from entsemble.types import LabelSet, Span, Usage

_HITS_PER_SHOT = 8
"""Hits to choose from for each demonstration, since some exceed the limits."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The demonstrations for one sentence.

    Attributes:
        demonstrations: the most similar last, next to the question.
        usage: (member name, usage) of pre-extraction.
        spans: pre-extracted from the sentence.
        hits: the pool sentences of the demonstrations, the most similar first, and why each was chosen.
    """

    demonstrations: tuple[Demonstration, ...] = ()
    usage: tuple[tuple[str, Usage], ...] = ()
    spans: tuple[Span, ...] = ()
    hits: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class DemonstrationLimits:
    """How many demonstrations a prompt may have.

    Attributes:
        shots: maximum number.
        max_characters: total length of their texts. Prompt tokens dominate the cost, so a long demonstration is skipped
            for the next most similar that leaves room for the others.
        max_empty_share: share of them that may have no mentions. In pools with mostly empty sentences, such as tweets,
            the most similar ones would mainly teach the model to answer "none".
    """

    shots: int
    max_characters: int = 640
    max_empty_share: float = 0.25


def retrieve(
    text: str, members: Sequence[Member], labels: LabelSet, pool: PoolIndex, limits: DemonstrationLimits
) -> Retrieval:
    """Find demonstrations for `text` (EL4NER, arXiv 2505.23038, step 1).

    Args:
        text: the sentence; its spans are pre-extracted if the pool's similarity compares spans.
        members: pre-extract the spans.
        labels: to find.
        pool: the source of demonstrations.
        limits: on the demonstrations.
    """
    spans: tuple[Span, ...] = ()
    usage: tuple[tuple[str, Usage], ...] = ()
    if pool.similarity == "span" and limits.shots > 0:
        surfaces, usage = pre_extract(text, members, labels)
        spans = tuple(find_occurrences(one_line(text), surface)[0] for surface in surfaces)
    hits = tuple(select_within_limits(pool.search(Query(text, spans), _HITS_PER_SHOT * limits.shots), limits))
    demonstrations = tuple(build_demonstration(hit.document, labels) for hit in reversed(hits))
    return Retrieval(demonstrations, usage, spans, hits)


def pre_extract(
    text: str, members: Sequence[Member], labels: LabelSet
) -> tuple[tuple[str, ...], tuple[tuple[str, Usage], ...]]:
    """Extract spans without demonstrations: the union of the members' surfaces, and (member name, usage) pairs."""
    prompts = [
        MemberPrompt(member, member.zero_shot, render_extraction_prompt(member.zero_shot, labels, (), text))
        for member in members
    ]
    extraction = extract(text, prompts)
    return tuple(candidate.surface for candidate in extraction.candidates), extraction.usage


def select_within_limits(hits: Sequence[Hit], limits: DemonstrationLimits) -> list[Hit]:
    """The best hits within the limits, in the given order, best first.

    A text longer than twice its equal share of characters is skipped, so that the first hit leaves room for others. If
    no hit is within the limits, the best one is returned alone.
    """
    selection: list[Hit] = []
    characters_left, empty_left = limits.max_characters, int(limits.max_empty_share * limits.shots)
    for hit in hits:
        length, is_empty = len(hit.document.text), not hit.document.mentions
        fits = length <= min(characters_left, 2 * limits.max_characters // max(1, limits.shots))
        if len(selection) < limits.shots and fits and (not is_empty or empty_left):
            selection.append(hit)
            characters_left -= length
            empty_left -= is_empty
    return selection or list(hits[: min(1, limits.shots)])
