"""The features of a candidate: votes, pool statistics, surface form and overlaps."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from entsemble._lib.math import FloatArray, logit
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.capitalised import capitalised_spans
from entsemble.pool.gazetteer import Gazetteer, NameCounts
from entsemble.pool.neighbours import NeighbourIndex, Neighbours
from entsemble.pool.word_counts import WordFeatures, WordStatistics
from entsemble.types import NONE_LABEL, LabelSet, ScoredSpan, Span
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.rules import Ballot, Verdict, soft_vote_scores

# One feature a line: its name, its formula, and its range where it is not obvious. A logit is clipped to +-6.9
# (probabilities of 0.001 and 0.999). Missing values are NaN; the model replaces them by the feature's mean.

VOTE_FEATURE = "vote_logit"  # logit of the soft vote's score of the label

MEMBER_FEATURES = (  # of each member; the mean of the others for one that did not vote, NaN if none did
    "label_logit",  # logit of its probability of the label
    "none_logit",  # logit of its probability of no entity
    "proposed",  # 1 if it proposed the candidate, else 0
    "is_best_label",  # 1 if no label is more probable to it, else 0
)

VOICE_FEATURES = (  # of each voice, such as the sequence tagger; by `voice_feature`, since voices share no weights
    "label_logit",  # logit of its probability of the label
    "entity_logit",  # logit of its highest probability of any label
    "is_best_label",  # 1 if no label is more probable to it, else 0
)

POOL_FEATURES = (
    "pool_label_logit",  # logit((mentions with the label + 0.1) / (occurrences + 0.2)); 0 if the name is unknown
    "pool_mention_logit",  # logit((mentions + 0.1) / (occurrences + 0.2)); 0 if the name is unknown
    "pool_log_count",  # log(1 + occurrences); 0 if the name is unknown
    "in_pool",  # 1 if the surface is a name of the pool, else 0
)

NEIGHBOUR_FEATURES = (
    "neighbour_label_logit",  # logit of the label's share of the nearest names; NaN if they cannot tell labels apart
    "neighbour_cosine",  # cosine of the nearest name, -1 to 1; NaN if the pool has no names
)

WORD_FEATURES = (  # differences of log-odds from any word, with back-off; NaN if the pool has no names of the label
    "first_word",  # of starting a name, for the candidate's first word
    "last_word",  # of ending a name, for its last word
    "word_before",  # of preceding a name, for the word before it
    "word_after",  # of following a name, for the word after it
    "inner_words",  # of being inside a name, summed over its inner words where negative; at most 0
    "unseen_words",  # the share of its words that the pool does not have, 0 to 1; NaN only if the pool has no names
    "label_log_ratio",  # log of how much its words raise the label's share of names; 0 if none has the label
)

SURFACE_FEATURES = (
    "word_count",  # words and punctuation marks
    "starts_uppercase",  # 1 if the first character is an uppercase letter, else 0
    "is_lowercase",  # 1 if it has letters and none is uppercase, else 0
    "is_capitalised_span",  # 1 if it is one of `capitalised_spans`, else 0
)

OVERLAP_FEATURES = (  # logarithms, so that many similar candidates do not count as much evidence
    "log_inside",  # log(1 + candidates within it)
    "log_around",  # log(1 + candidates that it lies within)
    "log_rivals",  # log(1 + overlapping candidates that a voter proposed)
)


class FeatureExtractor:
    """Computes the features of candidates.

    Args:
        member_names: the members whose votes are features, in order.
        labels: that are asked for.
        gazetteer: the names of the pool, if it takes part in the vote.
        neighbours: the names of the pool by similarity; `None` leaves their features out.
        words: the words of the pool.
        voices: that score spans; those of one kind share a feature's weight, as members do.
        voices_first: whether the vote is that of the voices, since members are asked about some candidates only.

    Attributes:
        feature_names: one for each column; the columns of all members share the same names.
    """

    def __init__(
        self,
        member_names: Sequence[str],
        labels: LabelSet,
        gazetteer: Gazetteer | None,
        neighbours: NeighbourIndex | None,
        words: WordStatistics,
        voices: Sequence[SpanVoice],
        *,
        voices_first: bool = False,
    ) -> None:
        self._voices_first = voices_first
        self._member_names, self.labels, self._gazetteer = tuple(member_names), labels, gazetteer
        self._neighbours, self._words, self._voices = neighbours, words, tuple(voices)
        self.feature_names = (
            VOTE_FEATURE,
            *MEMBER_FEATURES * len(self._member_names),
            *(voice_feature(voice.kind, name) for voice in self._voices for name in VOICE_FEATURES),
            *POOL_FEATURES,
            *(NEIGHBOUR_FEATURES if self._neighbours else ()),
            *WORD_FEATURES,
            *SURFACE_FEATURES,
            *OVERLAP_FEATURES,
        )

    def extract(self, text: str, verdicts: Mapping[Span, Verdict]) -> list[FloatArray]:
        """For each candidate span, [labels, features]; NaN where a feature is missing."""
        name_counts = self._gazetteer.lookup(text) if self._gazetteer else {}
        line = one_line(text)
        surfaces = [span.slice(line) for span in verdicts]
        nearest = self._neighbours.neighbours_for(text, surfaces) if self._neighbours else None
        words = self._words.features_for(text, [*verdicts])
        capitalised = frozenset(capitalised_spans(text))
        proposed = [span for span, verdict in verdicts.items() if any(ballot.is_proposer for ballot in verdict.ballots)]
        voice_scores = [voice.scored_spans(text) for voice in self._voices]
        matrices = []
        for index, (span, verdict) in enumerate(verdicts.items()):
            surface, word_features = surfaces[index], words[index]
            vote_scores, counts = soft_vote_scores(self._vote_ballots(verdict)), name_counts.get(surface)
            of_candidate = [
                *_surface_features(surface),
                float(surface in capitalised),
                *_overlap_features(span, verdicts.keys(), proposed),
            ]
            rows = [
                [
                    logit(vote_scores[label]),
                    *self._member_features(label, verdict),
                    *(value for scores in voice_scores for value in _voice_features(label, scores.get(span))),
                    *_pool_features(label, counts),
                    *(_neighbour_features(label, nearest[index]) if nearest is not None else ()),
                    *_word_features(label, word_features),
                    *of_candidate,
                ]
                for label in self.labels.names
            ]
            matrices.append(np.array(rows))
        return matrices

    def _vote_ballots(self, verdict: Verdict) -> Sequence[Ballot]:
        if not self._voices_first:
            return verdict.ballots
        return [ballot for ballot in verdict.ballots if ballot.relative_weight is not None]

    def _member_features(self, label: str, verdict: Verdict) -> list[float]:
        ballots = {ballot.voter: ballot for ballot in verdict.ballots}
        by_member = {
            name: self._ballot_features(label, ballots[name]) for name in self._member_names if name in ballots
        }
        mean = np.mean([*by_member.values()], axis=0).tolist() if by_member else [math.nan] * len(MEMBER_FEATURES)
        return [value for name in self._member_names for value in by_member.get(name, mean)]

    def _ballot_features(self, label: str, ballot: Ballot) -> list[float]:
        probability = ballot.probability(label)
        is_best = probability >= max(ballot.probability(name) for name in self.labels.names)
        none_probability = ballot.probability(NONE_LABEL)
        return [logit(probability), logit(none_probability), float(ballot.is_proposer), float(is_best)]


def voice_feature(kind: str, name: str) -> str:
    """The name of a voice's feature in the model.

    Args:
        kind: of the voice, such as `tagger` or `reader`.
        name: one of `VOICE_FEATURES`.
    """
    return f"{kind}_{name}"


def _voice_features(label: str, scored: ScoredSpan | None) -> list[float]:
    probability, highest = (scored.probabilities[label], scored.score) if scored else (0.0, 0.0)
    return [logit(probability), logit(highest), float(scored is not None and probability >= highest)]


def _pool_features(label: str, counts: NameCounts | None) -> list[float]:
    if counts is None:
        return [0.0] * len(POOL_FEATURES)
    mentions = counts.label_counts[label], sum(counts.label_counts.values())
    logits = [logit((count + 0.1) / (counts.occurrences + 0.2)) for count in mentions]
    return [*logits, math.log1p(counts.occurrences), 1.0]


def _neighbour_features(label: str, neighbours: Neighbours | None) -> list[float]:
    if neighbours is None:
        return [math.nan] * len(NEIGHBOUR_FEATURES)
    # A pool with names of one label only, or with none of this label, has no evidence between labels.
    is_informative = len(neighbours.pool_labels) > 1 and label in neighbours.pool_labels
    label_logit = logit(neighbours.label_shares[label]) if is_informative else math.nan
    return [label_logit, neighbours.cosine]


def _word_features(label: str, words: WordFeatures | None) -> list[float]:
    if words is None:
        return [math.nan] * len(WORD_FEATURES)
    if label not in words.label_log_ratios:  # no evidence on where its names start and end, nor on the label
        return [*[math.nan] * len(words.lifts), math.nan, words.unseen_share, 0.0]
    return [*words.lifts, words.inner_lift, words.unseen_share, words.label_log_ratios[label]]


def _surface_features(surface: str) -> list[float]:
    return [float(len(word_spans(surface))), float(surface[:1].isupper()), float(surface.islower())]


def _overlap_features(span: Span, candidates: Collection[Span], proposed: Collection[Span]) -> list[float]:
    others = [other for other in candidates if other != span]
    inside = sum(span.contains(other) for other in others)
    around = sum(other.contains(span) for other in others)
    rivals = sum(other != span and other.overlaps(span) for other in proposed)
    return [math.log1p(inside), math.log1p(around), math.log1p(rivals)]
