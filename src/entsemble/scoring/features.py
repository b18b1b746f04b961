"""What is known of a candidate, as numbers: the votes, the pool's names and words, its looks, and what overlaps it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from entsemble._lib.math import logit
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.capitalised import runs
from entsemble.pool.gazetteer import Gazetteer, Known
from entsemble.pool.neighbours import Alike, Likeness
from entsemble.pool.word_counts import PLACES, Worded, Wording
from entsemble.types import NONE_LABEL, LabelSet, Span
from entsemble.voting.rules import Ballot, Verdict, soft_vote_scores

Matrix = npt.NDArray[np.float64]

OF_A_MEMBER = ("own", "none", "proposed", "best")
"""Log-odds of its probabilities of the label and of no entity; whether it proposed the candidate; whether no label is
more probable to it."""

OF_THE_POOL = ("annotated", "named", "seen", "known", "likeness", "cosine")
"""How often the surface is annotated so, and at all, of the times that it is seen, as log-odds; these times; whether it
is known; how much of the nearest names is annotated so, as log-odds, and how near the nearest is."""

OF_THE_WORDS = (*PLACES, "within", "unseen", "kind")
"""How much more often than any word those at its ends and beside it stand so at a name, and how much less often those
between its ends stand within one, as differences of log-odds; the share of its words that the pool never saw; how much
more often than any name one with such words is of the label."""

OF_THE_LOOKS = ("words", "capital", "lower", "run")
"""How many words; whether it begins with a capital, has none, and is a whole run of words that have."""

OF_THE_RIVALS = ("inside", "around", "rivals")
"""How many other candidates stand within it, how many around it, and how many that overlap it were proposed by who
votes, each as the logarithm of one more: many that are alike would else count as many voices for a name there."""


class Evidence:
    """What is known of a candidate, as numbers.

    Args:
        members: whose votes count, by name.
        labels: that are asked for.
        gazetteer: the pool's names, where they have a voice.
        likeness: the pool's names by likeness.
        wording: the pool's words.

    Attributes:
        columns: what each number is, by name; those of one member have the names of those of another.
    """

    def __init__(
        self,
        members: Sequence[str],
        labels: LabelSet,
        gazetteer: Gazetteer | None,
        likeness: Likeness,
        wording: Wording,
    ) -> None:
        self._members, self.labels, self._gazetteer = tuple(members), labels, gazetteer
        self._likeness, self._wording = likeness, wording
        of_members = OF_A_MEMBER * len(self._members)
        self.columns = ("vote", *of_members, *OF_THE_POOL, *OF_THE_WORDS, *OF_THE_LOOKS, *OF_THE_RIVALS)

    def features(self, text: str, verdicts: Mapping[Span, Verdict]) -> list[Matrix]:
        """For each place of a candidate, [labels, columns]; NaN is not known.

        Of a member that was not asked, it is what those that were say on average, as if it were not there.
        """
        known = self._gazetteer.known(text) if self._gazetteer else {}
        line = one_line(text)
        surfaces = [span.of(line) for span in verdicts]
        alike, worded = self._likeness.of(text, surfaces), self._wording.of(text, [*verdicts])
        looking = frozenset(runs(text))
        proposed = [span for span, v in verdicts.items() if any(b.is_proposer for b in v.ballots)]
        found = []
        for (span, verdict), surface, a, w in zip(verdicts.items(), surfaces, alike, worded, strict=True):
            votes, told = soft_vote_scores(verdict.ballots), known.get(surface)
            whole = *_of_looks(surface), float(surface in looking), *_of_rivals(span, verdicts.keys(), proposed)
            rows = [
                [*self._of_label(x, votes[x], verdict, told, a), *_of_words(w, x), *whole] for x in self.labels.names
            ]
            found.append(np.array(rows))
        return found

    def _of_label(
        self, label: str, voted: float, verdict: Verdict, known: Known | None, alike: Alike | None
    ) -> list[float]:
        ballots = {b.voter: b for b in verdict.ballots}
        answers = {name: self._of_ballot(ballots[name], label) for name in self._members if name in ballots}
        usual = np.mean([*answers.values()], axis=0).tolist() if answers else [math.nan] * len(OF_A_MEMBER)
        told = [logit(voted), *(x for name in self._members for x in answers.get(name, usual))]
        if known:
            times, named = known.labels[label], sum(known.labels.values())
            seen = [logit((n + 0.1) / (known.seen + 0.2)) for n in (times, named)]
            told += [*seen, math.log1p(known.seen), 1.0]
        else:
            told += [0.0] * 4
        return [*told, *(_of_neighbours(alike, label) if alike else [math.nan] * 2)]

    def _of_ballot(self, ballot: Ballot, label: str) -> list[float]:
        own, best = ballot.probability(label), max(ballot.probability(x) for x in self.labels.names)
        return [logit(own), logit(ballot.probability(NONE_LABEL)), float(ballot.is_proposer), float(own >= best)]


def _of_neighbours(alike: Alike, label: str) -> list[float]:
    """Where a pool shows one label only, or none of this one, its names cannot speak against the others."""
    tells = len(alike.annotated) > 1 and label in alike.annotated
    return [logit(alike.shares[label]) if tells else math.nan, alike.cosine]


def _of_words(worded: Worded | None, label: str) -> list[float]:
    """A pool that shows no name of a label tells nothing of how its names are worded: they have it as often as any."""
    if worded is None:
        return [math.nan] * len(OF_THE_WORDS)
    if label not in worded.labels:
        return [*[math.nan] * len(worded.lifts), math.nan, worded.unseen, 0.0]
    return [*worded.lifts, worded.within, worded.unseen, worded.labels[label]]


def _of_looks(surface: str) -> list[float]:
    return [float(len(word_spans(surface))), float(surface[:1].isupper()), float(surface.islower())]


def _of_rivals(span: Span, candidates: Collection[Span], proposed: Collection[Span]) -> list[float]:
    others = [other for other in candidates if other != span]
    inside, around = (sum(map(has, others)) for has in (span.contains, lambda other: other.contains(span)))
    rivals = sum(other != span and other.overlaps(span) for other in proposed)
    return [math.log1p(inside), math.log1p(around), math.log1p(rivals)]
