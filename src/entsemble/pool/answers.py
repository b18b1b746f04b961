"""The pool's own answer for a sentence that stands in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from entsemble.pool.leakage import LeakageGuard
from entsemble.types import Document, Span

LabelledSpan = tuple[Span, str]


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """What the pool says of a sentence.

    Attributes:
        source: id of the sentence in the pool.
        spans: span in the asked text and label of each mention, in text order.
    """

    source: str
    spans: tuple[LabelledSpan, ...]


class PoolAnswers:
    """Answers for sentences that stand in the pool, but for differences in case and whitespace.

    If the pool has a sentence several times, with different mentions, it has no answer for it: the text alone does not
    decide then.

    Args:
        leakage_guard: of the pool's sentences.
        excluded: indices of sentences that are to be scored, and hence are never answered from the pool.

    Attributes:
        labels: those of the pool's mentions. Of other labels nobody knows whether the pool's sentences have mentions.
    """

    def __init__(self, leakage_guard: LeakageGuard, excluded: Collection[int] = ()) -> None:
        self._leakage_guard, self._excluded = leakage_guard, frozenset(excluded)
        self.labels = frozenset(mention.label for document in leakage_guard.documents for mention in document.mentions)

    def find(self, text: str) -> PoolAnswer | None:
        """The pool's answer for a sentence; `None` if it has none."""
        indices = self._leakage_guard.same_text_indices(text)
        if not indices or not self._excluded.isdisjoint(indices):
            return None
        documents = [self._leakage_guard.documents[index] for index in indices]
        characters = _compared_characters(text)
        answers = {_transferred(document, characters) for document in documents}
        return PoolAnswer(documents[-1].id, answers.pop()) if len(answers) == 1 else None


def _transferred(document: Document, characters: list[int]) -> tuple[LabelledSpan, ...]:
    """The document's mentions in a text with the same key.

    Args:
        document: annotated.
        characters: see `_compared_characters`, of the text.
    """
    own_characters = _compared_characters(document.text)
    first = {offset: position for position, offset in reversed(list(enumerate(own_characters)))}
    last = {offset: position for position, offset in enumerate(own_characters)}
    spans = []
    for mention in document.mentions:
        inside = [offset for offset in range(mention.start, mention.end) if offset in first]
        if inside:
            start, end = characters[first[inside[0]]], characters[last[inside[-1]]] + 1
            spans.append((Span(start, end), mention.label))
    return tuple(sorted(set(spans), key=lambda labelled: (labelled[0].start, -labelled[0].end, labelled[1])))


def _compared_characters(text: str) -> list[int]:
    """The offset of each character of the text's `same_text_key`."""
    return [offset for offset, character in enumerate(text) if not character.isspace() for _ in character.casefold()]
