"""What the pool's words tell of a place: how often they begin a name, end one, and stand before or after one.

A gazetteer knows whole names. A name that the pool never saw is often made of words that it knows, and stands between
words that it knows: where it begins and ends, and of what kind it is, they tell too. That a pool's words within and
near mentions are worth counting is DEER's idea (arXiv 2505.23722), which retrieves by them. Of a word that is rare or
unseen those tell that look and end alike, as in tagging (T. Brants, "TnT", ANLP 2000).

So they propose, too: spans that small models overlook, as looks do. And as with those, only where it was learnt what
that is worth.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from entsemble._words import word_spans
from entsemble.ensemble.copies import keys_within
from entsemble.prompting.align import occurrences
from entsemble.prompting.demonstration import one_line
from entsemble.retrieval.index import same_text_key
from entsemble.types import Document, LabelSet, Span

NAME = "words"
"""How the ledger calls who proposed such a span."""

PLACES = ("first", "last", "before", "after")
"""Of a word, at the ends of a name or beside them."""

_WITHIN = "within"
"""Of any word of a name."""

_TELLS_LABEL = PLACES[1:]
"""Where: what a name ends with ("Corp."), and what stands around it."""

_EDGES = {"before": "\n", "after": "\r"}
"""In the place of a word where a text begins and ends; no word is like these."""

_ENDING = 3
"""Letters."""

_HOLD, _HOLD_LABEL = 4.0, 1.0
"""Times that a word must have been seen, and seen with a name, to count as much as those that look and end alike."""


_LONGEST = 8
"""Words and marks of a span that is proposed."""

_LEAST = 1e-3
"""Probabilities are taken as no nearer than this to 0 and 1."""


@dataclass(frozen=True, slots=True)
class Worded:
    """What the words within and around a surface tell, on average of the places where it stands in a text.

    Attributes:
        lifts: for each of `PLACES`, how much more often its word stands so than any word, as a difference of log-odds.
        within: of the words between the ends, how much less often they stand within a name than any word, likewise, as
            a sum.
        unseen: the share of the surface's words that the pool never saw.
        labels: label -> log of how much more often than any name one with such words has it; of the labels that the
            pool has names of.
    """

    lifts: tuple[float, ...]
    within: float
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
        told, labels, line, spans, words = self._read(text)
        if not labels:
            return [None] * len(surfaces)
        places = ([_within(spans, span) for span in occurrences(line, surface)] for surface in surfaces)
        return [told.worded(words, there, labels) for there in places]

    def likely(self, text: str) -> tuple[str, ...]:
        """The spans that are names rather than not, by their words and those beside them, in text order.

        By naive Bayes: a priori a word begins a name as often as any does. The words between the ends speak against it
        alone, since there may be many. Of two that overlap, the likelier.
        """
        told, labels, line, spans, words = self._read(text)
        if not labels:
            return ()
        at = range(len(words))
        lifts = [[lift for lift, _ in told.standing(words, range(i, i + 1), labels)] for i in at]
        against = [0.0, *accumulate(told.against(word, labels) for word in words)]
        ends = [i for i in at if any(map(str.isalnum, words[i]))]
        likely = []
        for i in ends:
            for j in ends[bisect_left(ends, i) : bisect_left(ends, i + _LONGEST)]:
                between = against[j] - against[i + 1] if j > i else 0.0
                odds = logit(told.usual("first")) + lifts[i][0] + lifts[j][1] + lifts[i][2] + lifts[j][3] + between
                if odds >= 0:
                    likely.append((odds, i, j))
        taken: set[int] = set()
        kept = []
        for _, i, j in sorted(likely, key=lambda found: (-found[0], *found[1:])):
            if taken.isdisjoint(range(i, j + 1)):
                taken.update(range(i, j + 1))
                kept.append(Span(spans[i].start, spans[j].end))
        return tuple(dict.fromkeys(span.of(line) for span in sorted(kept, key=lambda s: s.start)))

    def _read(self, text: str) -> tuple[_Told, list[str], str, list[Span], list[str]]:
        """What the pool tells without this text, the labels that it has names of, and the text, in words."""
        same = self._same.get(same_text_key(text))
        told = self._told.without(_Told.by(same)) if same else self._told
        line = one_line(text)
        spans = word_spans(line)
        return told, [x for x in self._labels if told.names[x] > 0], line, spans, [span.of(line) for span in spans]


@dataclass(frozen=True, slots=True)
class _Told:
    """Counts, of each word and of those that are like it.

    Attributes:
        seen: kind of word -> times.
        placed: place, kind of word, label -> times.
        stood: place -> times.
        names: label -> mentions.
        words: of all documents.
    """

    seen: Counter[str]
    placed: Counter[tuple[str, str, str]]
    stood: Counter[str]
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
                there = _within(spans, m.span)
                placed.update((*standing, m.label) for standing in _standing(words, there))
                placed.update((_WITHIN, words[i], m.label) for i in there)
        total = seen.total()
        seen.update(dict.fromkeys(_EDGES.values(), len(documents)))
        kinds: Counter[str] = Counter()
        for word, times in seen.items():
            kinds.update(dict.fromkeys(_kinds(word), times))
        every: Counter[tuple[str, str, str]] = Counter()
        stood: Counter[str] = Counter()
        for (place, word, label), times in placed.items():
            every.update({(place, kind, label): times for kind in _kinds(word)})
            stood[place] += times
        return cls(kinds, every, stood, Counter(m.label for d in documents for m in d.mentions), total)

    def without(self, own: _Told) -> _Told:
        """What is left where some is taken away."""
        left = self.seen - own.seen, self.placed - own.placed, self.stood - own.stood, self.names - own.names
        return _Told(*left, self.words - own.words)

    def usual(self, place: str) -> float:
        """How often any word stands so."""
        return self.stood[place] / self.words

    def worded(self, words: Sequence[str], places: Sequence[range], labels: Sequence[str]) -> Worded | None:
        """Of a surface that stands at these words; `None` where it stands at none."""
        if not any(places):
            return None
        every = [self.standing(words, place, labels) for place in places if place]
        lifts = np.mean([[lift for lift, _ in own] for own in every], axis=0)
        kinds = np.mean([np.sum([own[PLACES.index(p)][1] for p in _TELLS_LABEL], axis=0) for own in every], axis=0)
        within = np.mean([sum(self.against(words[i], labels) for i in place[1:-1]) for place in places if place])
        unseen = np.mean([self.seen[words[i]] == 0 for place in places for i in place])
        by_label = dict(zip(labels, kinds.tolist(), strict=True))
        return Worded(tuple(lifts.tolist()), float(within), float(unseen), by_label)

    def standing(self, words: Sequence[str], place: range, labels: Sequence[str]) -> list[tuple[float, list[float]]]:
        """For each of `PLACES`, the lift of its word, and the logarithms of the labels' lifts, see `Worded`."""
        return [self._lift(*standing, labels) for standing in _standing(words, place)]

    def against(self, word: str, labels: Sequence[str]) -> float:
        """How much less often than any word it stands within a name, as a difference of log-odds, or 0."""
        return min(0.0, self._lift(_WITHIN, word, labels)[0])

    def _lift(self, place: str, word: str, labels: Sequence[str]) -> tuple[float, list[float]]:
        usual = [self.names[label] / self.names.total() for label in labels]
        share, own = self.usual(place), usual
        for kind in reversed(_kinds(word)):
            times = [self.placed[place, kind, label] for label in labels]
            share = (sum(times) + _HOLD * share) / (self.seen[kind] + _HOLD)
            own = [(n + _HOLD_LABEL * o) / (sum(times) + _HOLD_LABEL) for n, o in zip(times, own, strict=True)]
        return logit(share) - logit(self.usual(place)), [math.log(o / u) for o, u in zip(own, usual, strict=True)]


def logit(probability: float) -> float:
    """Log-odds, of what is neither sure nor impossible."""
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


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
