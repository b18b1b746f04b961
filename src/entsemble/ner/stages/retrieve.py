"""Stage 1, demonstration retrieval by span-level similarity (EL4NER, arXiv 2505.23038, step 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line
from entsemble.ner.member import Member
from entsemble.ner.stages.extract import extract
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.demonstration import Demonstration, build_demonstration
from entsemble.prompting.render import render_extraction_prompt
from entsemble.retrieval.index import Hit, PoolIndex, Query
from entsemble.types import LabelSet, Span, Usage


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The demonstrations for one sentence, the most similar last (nearest to the question), and what they cost.

    Attributes:
        demonstrations: as the prompts show them.
        usage: what pre-extraction cost each member.
        spans: what pre-extraction found.
        hits: the pool sentences behind the demonstrations, the most similar first, and why each was chosen.
    """

    demonstrations: tuple[Demonstration, ...] = ()
    usage: tuple[tuple[str, Usage], ...] = ()
    spans: tuple[Span, ...] = ()
    hits: tuple[Hit, ...] = ()


def pre_extract(
    text: str, members: Sequence[Member], labels: LabelSet
) -> tuple[tuple[str, ...], tuple[tuple[str, Usage], ...]]:
    """The union of the spans that the members find in `text` without demonstrations, and what it cost."""
    prompts = [(m, m.zero_shot, render_extraction_prompt(m.zero_shot, labels, (), text)) for m in members]
    found = extract(text, prompts)
    return tuple(c.surface for c in found.candidates), found.usage


_CHOICE = 8
"""For each demonstration wanted, how many of the most similar are looked at to find fitting ones."""


@dataclass(frozen=True, slots=True)
class DemonstrationLimits:
    """How many demonstrations a sentence is shown.

    Attributes:
        shots: how many.
        max_characters: total length of their texts. Prompt tokens dominate the cost, so a long demonstration is skipped
            for the next most similar that leaves room for the others.
        max_empty_share: share of them that may have no mentions. In pools with mostly empty sentences, such as tweets,
            the most similar ones would mainly teach the model to answer "none".
    """

    shots: int
    max_characters: int = 640
    max_empty_share: float = 0.25


def retrieve(
    text: str, members: Sequence[Member], labels: LabelSet, pool: PoolIndex, shown: DemonstrationLimits
) -> Retrieval:
    """Find demonstrations for `text`, pre-extracting its spans where the pool's similarity looks at spans.

    Args:
        text: the sentence.
        members: who pre-extracts.
        labels: asked for.
        pool: where demonstrations come from.
        shown: how many demonstrations, and which.
    """
    spans: tuple[Span, ...] = ()
    usage: tuple[tuple[str, Usage], ...] = ()
    if pool.similarity == "span" and shown.shots > 0:
        surfaces, usage = pre_extract(text, members, labels)
        spans = tuple(find_occurrences(one_line(text), surface)[0] for surface in surfaces)
    hits = tuple(select_within_limits(pool.search(Query(text, spans), _CHOICE * shown.shots), shown))
    return Retrieval(tuple(build_demonstration(hit.document, labels) for hit in reversed(hits)), usage, spans, hits)


def select_within_limits(hits: Sequence[Hit], shown: DemonstrationLimits) -> list[Hit]:
    """Of `hits`, best first, the best that `shown` allows, in the same order.

    A text longer than twice its equal share is passed over, so that the first does not leave the others no room; where
    none fits, the most similar is shown alone.
    """
    chosen: list[Hit] = []
    left, empty = shown.max_characters, int(shown.max_empty_share * shown.shots)
    for hit in hits:
        size = len(hit.document.text)
        fits = size <= min(left, 2 * shown.max_characters // max(1, shown.shots))
        if len(chosen) < shown.shots and fits and (hit.document.mentions or empty):
            chosen.append(hit)
            left -= size
            empty -= not hit.document.mentions
    return chosen or list(hits[:1] if shown.shots else [])
