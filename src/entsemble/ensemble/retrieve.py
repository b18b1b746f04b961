"""Stage 1, demonstration retrieval by span-level similarity (EL4NER, arXiv 2505.23038, step 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.ensemble.extract import extract
from entsemble.ensemble.member import Member
from entsemble.prompting.align import occurrences
from entsemble.prompting.demonstration import Demonstration, demonstrate, one_line
from entsemble.prompting.render import extraction_prompt
from entsemble.retrieval.index import PoolIndex, Query
from entsemble.types import LabelSet, Span, Usage


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The demonstrations for one sentence, the most similar last (nearest to the question), and what they cost."""

    demonstrations: tuple[Demonstration, ...]
    usage: tuple[tuple[str, Usage], ...]


def pre_extract(
    text: str, members: Sequence[Member], labels: LabelSet
) -> tuple[tuple[str, ...], tuple[tuple[str, Usage], ...]]:
    """The union of the spans that the members find in `text` without demonstrations, and what it cost."""
    prompts = [(m, m.zero_shot, extraction_prompt(m.zero_shot, labels, (), text)) for m in members]
    found = extract(text, prompts)
    return tuple(c.surface for c in found.candidates), found.usage


def retrieve(text: str, members: Sequence[Member], labels: LabelSet, pool: PoolIndex, shots: int) -> Retrieval:
    """Find demonstrations for `text`, pre-extracting its spans where the pool's similarity looks at spans."""
    spans: tuple[Span, ...] = ()
    usage: tuple[tuple[str, Usage], ...] = ()
    if pool.similarity == "span" and shots > 0:
        surfaces, usage = pre_extract(text, members, labels)
        spans = tuple(occurrences(one_line(text), surface)[0] for surface in surfaces)
    hits = pool.search(Query(text, spans), shots)
    return Retrieval(tuple(demonstrate(hit.document, labels) for hit in reversed(hits)), usage)
