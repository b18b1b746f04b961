"""Naive Bayes over words: proposes spans that resemble the pool's names.

It proposes spans that small models overlook. Like capitalised spans they are proposed only where a learned scorer
weighs that evidence.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from entsemble._lib.math import logit
from entsemble._lib.spans import select_non_overlapping
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.word_counts import WordCounts, WordStatistics
from entsemble.types import Span
from entsemble.voting.candidates import Candidate, Proposer, add_proposals

_MAX_WORDS = 8
"""Words and punctuation marks of a proposed span."""


class NaiveBayesProposer(Proposer):
    """Proposes the spans that are more likely to be a name than not.

    Args:
        words: the words of the pool.
    """

    name = "naive_bayes"

    def __init__(self, words: WordStatistics) -> None:
        self.words = words

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`."""
        return add_proposals(text, candidates, self.likely_names(text), self.name)

    def likely_names(self, text: str) -> tuple[str, ...]:
        """Surfaces of the spans that are more likely to be a name than not, in text order.

        Of spans that overlap, only the most likely one.
        """
        counts = self.words.counts_without(text)
        line = one_line(text)
        likely = [(-log_odds, span.start, span.end) for span, log_odds in likely_spans(line, counts)]
        selected = select_non_overlapping(Span(start, end) for _, start, end in sorted(likely))
        return tuple(dict.fromkeys(span.slice(line) for span in sorted(selected, key=lambda span: span.start)))


def likely_spans(line: str, counts: WordCounts) -> list[tuple[Span, float]]:
    """The spans of up to 8 words that are more likely to be a name than not, by naive Bayes, with their log-odds.

    The prior is that of a word to start a name. The evidence are the words at the ends and next to them; the words
    between the ends only count against a name, since there may be many.

    Args:
        line: a text on one line.
        counts: of the pool.

    Returns:
        Spans with log-odds of at least 0, by start and end; none if the pool has no names, or if at least every second
        of its words starts one, as in a list of bare names.
    """
    if not counts.mentions.total() or counts.base_rate("first") >= 0.5:
        return []
    text_words = word_spans(line)
    words = [word.slice(line) for word in text_words]
    prior_log_odds = logit(counts.base_rate("first"))
    lifts = [counts.lifts(words, range(index, index + 1)) for index in range(len(words))]
    inner_sums = [0.0, *accumulate(map(counts.inner_lift, words))]
    alphanumeric = [index for index, word in enumerate(words) if any(map(str.isalnum, word))]
    likely = []
    for position, first_index in enumerate(alphanumeric):
        first_lift, _, before_lift, _ = lifts[first_index]
        start_log_odds = prior_log_odds + before_lift + first_lift
        for last_index in alphanumeric[position : bisect_left(alphanumeric, first_index + _MAX_WORDS)]:
            _, last_lift, _, after_lift = lifts[last_index]
            inner_lift = inner_sums[last_index] - inner_sums[first_index + 1] if last_index > first_index else 0.0
            log_odds = start_log_odds + inner_lift + last_lift + after_lift
            if log_odds >= 0:
                likely.append((Span(text_words[first_index].start, text_words[last_index].end), log_odds))
    return likely
