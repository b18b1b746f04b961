"""What the pool's words tell of a place: how often they begin a name, end one, and stand before or after one.

A gazetteer knows whole names. A name that the pool never saw is often made of words that it knows, and stands between
words that it knows: where it begins and ends, and of what kind it is, they tell too. That a pool's words within and
near mentions are worth counting is DEER's idea (arXiv 2505.23722), which retrieves by them. Of a word that is rare or
unseen those tell that look and end alike, as in tagging (T. Brants, "TnT", ANLP 2000).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._words import word_spans
from entsemble.ensemble.copies import keys_within
from entsemble.prompting.align import occurrences
from entsemble.prompting.demonstration import one_line
from entsemble.retrieval.index import same_text_key
from entsemble.types import Document, LabelSet, Span

PLACES = ("first", "last", "before", "after")
"""Of a word, within or beside a name."""

_TELLS_LABEL = PLACES[1:]
"""Where: what a name ends with ("Corp."), and what stands around it."""

_EDGES = {"before": "\n", "after": "\r"}
"""In the place of a word where a text begins and ends; no word is like these."""

_ENDING = 3
"""Letters."""

_HOLD, _HOLD_LABEL = 4.0, 1.0
"""Times that a word must have been seen, and seen with a name, to count as much as those that look and end alike."""


@dataclass(frozen=True, slots=True)
class Worded:
    """What the words within and around a surface tell, on average of the places where it stands in a text.

    Attributes:
        shares: for each of `PLACES`, how often its word stands so, of the times that it is seen.
        usual: how often any word does.
        unseen: the share of the surface's words that the pool never saw.
        labels: label -> log of how much more often than any name one with such words has it; of the labels that the
            pool has names of.
    """

    shares: tuple[float, ...]
    usual: float
    unseen: float
    labels: dict[str, float]


class Wording:
    """The words of a pool, and where they stand.

    Args:
        documents: annotated sentences.
        labels: that are asked for.
        language: of the texts, for their sentence boundaries.
    """

    def __init__(self, documents: Sequence[Document], labels: LabelSet, language: str = "en") -> None:
        self._labels = labels.names
        self._told = _Told.by(documents)
        self._same: defaultdict[str, list[Document]] = defaultdict(list)
        for document in documents:
            for key in keys_within([document], language):
                self._same[key].append(document)

    def of(self, text: str, surfaces: Sequence[str]) -> list[Worded | None]:
        """Of surfaces of a text, what this very text told aside; `None` where no name is left to learn from."""
        same = self._same.get(same_text_key(text))
        told = self._told.without(_Told.by(same)) if same else self._told
        labels = [label for label in self._labels if told.names[label] > 0]
        if not labels:
            return [None] * len(surfaces)
        line = one_line(text)
        spans = word_spans(line)
        words = [span.of(line) for span in spans]
        return [
            told.worded(words, [_within(spans, s) for s in occurrences(line, surface)], labels) for surface in surfaces
        ]


@dataclass(frozen=True, slots=True)
class _Told:
    """Counts, of each word and of those that are like it.

    Attributes:
        seen: kind of word -> times.
        placed: place, kind of word, label -> times.
        names: label -> mentions.
        words: of all documents.
    """

    seen: Counter[str]
    placed: Counter[tuple[str, str, str]]
    names: Counter[str]
    words: int

    @classmethod
    def by(cls, documents: Sequence[Document]) -> _Told:
        """What these documents tell."""
        seen: Counter[str] = Counter()
        placed: Counter[tuple[str, str, str]] = Counter()
        for document in documents:
            line = one_line(document.text)
            spans = word_spans(line)
            words = [span.of(line) for span in spans]
            seen.update(words)
            for m in document.mentions:
                placed.update((*standing, m.label) for standing in _standing(words, _within(spans, m.span)))
        total = seen.total()
        seen.update(dict.fromkeys(_EDGES.values(), len(documents)))
        kinds: Counter[str] = Counter()
        for word, times in seen.items():
            kinds.update(dict.fromkeys(_kinds(word), times))
        every: Counter[tuple[str, str, str]] = Counter()
        for (place, word, label), times in placed.items():
            every.update({(place, kind, label): times for kind in _kinds(word)})
        return cls(kinds, every, Counter(m.label for d in documents for m in d.mentions), total)

    def without(self, own: _Told) -> _Told:
        """What is left where some is taken away."""
        left = self.seen - own.seen, self.placed - own.placed, self.names - own.names
        return _Told(*left, self.words - own.words)

    def worded(self, words: Sequence[str], places: Sequence[range], labels: Sequence[str]) -> Worded | None:
        """Of a surface that stands at these words; `None` where it stands at none."""
        if not any(places):
            return None
        told = [[self._share(*standing, labels) for standing in _standing(words, place)] for place in places if place]
        shares = np.mean([[share for share, _ in own] for own in told], axis=0)
        kinds = np.mean([np.sum([own[PLACES.index(p)][1] for p in _TELLS_LABEL], axis=0) for own in told], axis=0)
        unseen = np.mean([self.seen[words[i]] == 0 for place in places for i in place])
        return Worded(
            tuple(shares.tolist()), self._usual, float(unseen), dict(zip(labels, kinds.tolist(), strict=True))
        )

    @property
    def _usual(self) -> float:
        return self.names.total() / self.words

    def _share(self, place: str, word: str, labels: Sequence[str]) -> tuple[float, list[float]]:
        """How often the word stands so, and the logarithms of the labels' lifts where it does."""
        usual = [self.names[label] / self.names.total() for label in labels]
        share, own = self._usual, usual
        for kind in reversed(_kinds(word)):
            times = [self.placed[place, kind, label] for label in labels]
            share = (sum(times) + _HOLD * share) / (self.seen[kind] + _HOLD)
            own = [(n + _HOLD_LABEL * o) / (sum(times) + _HOLD_LABEL) for n, o in zip(times, own, strict=True)]
        return share, [math.log(o / u) for o, u in zip(own, usual, strict=True)]


def _within(spans: Sequence[Span], span: Span) -> range:
    """The words that a span has a part of, by number."""
    return range(
        bisect_right(spans, span.start, key=lambda w: w.end), bisect_left(spans, span.end, key=lambda w: w.start)
    )


def _standing(words: Sequence[str], place: range) -> Iterator[tuple[str, str]]:
    """For each of `PLACES`, the word that stands so."""
    if not place:
        return
    at = (place[0], place[-1], place[0] - 1, place[-1] + 1)
    for name, i in zip(PLACES, at, strict=True):
        yield name, words[i] if 0 <= i < len(words) else _EDGES[name]


def _kinds(word: str) -> tuple[str, ...]:
    """The word, what looks and ends alike, and what looks alike."""
    if word in _EDGES.values():
        return (word,)
    looks = _looks(word)
    return word, f"{looks} {word[-_ENDING:].lower() if len(word) > _ENDING else ''}", f"{looks}  "


def _looks(word: str) -> str:
    """Where it has capitals, and whether it has figures; of a mark, the mark."""
    letters, figures = any(map(str.isalpha, word)), any(map(str.isdigit, word))
    if not letters:
        return "0" if figures else word
    first, later = word[0].isupper(), any(map(str.isupper, word[1:]))
    if word.isupper() and len(word) > 1:
        case = "XX"
    elif first:
        case = "XxX" if later else "Xx"
    else:
        case = "xX" if later else "x"
    return case + "0" * figures
