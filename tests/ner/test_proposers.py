"""Candidates that no member listed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from entsemble.data.windows import sentence_splitter
from entsemble.ner.ledger import Fate
from entsemble.ner.pipeline import Pipeline
from entsemble.pool.capitalised import CapitalisedProposer
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.naive_bayes import NaiveBayesProposer
from entsemble.pool.word_counts import WordStatistics
from entsemble.types import LabelSet
from entsemble.voting.candidates import Candidate, Proposer, add_proposals
from entsemble.voting.rules import Ballot
from tests.factories import document, sentence
from tests.ner.ner_factories import MemberFactory, decision_rules, labelled_spans


class ListProposer(Proposer):
    """Proposes a list of surfaces, and optionally votes that all candidates are persons, with a probability."""

    def __init__(self, name: str, surfaces: Sequence[str], votes: bool = False, probability: float = 1.0) -> None:
        self._name, self._surfaces, self._votes = name, surfaces, votes
        self._rest = math.log(1 - probability) if probability < 1 else -math.inf
        self._log_probability = math.log(probability)

    @property
    def name(self) -> str:
        return self._name

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        return add_proposals(text, candidates, self._surfaces, self.name)

    def ballots(self, text: str, candidates: Sequence[Candidate]) -> list[Ballot | None]:
        if not self._votes:
            return super().ballots(text, candidates)
        log_probabilities = {"PER": self._log_probability, "LOC": -math.inf, "none": self._rest}
        return [
            Ballot(self.name, log_probabilities, True, self.name in candidate.proposers, relative_weight=1.0)
            for candidate in candidates
        ]


def test_proposers_run_in_order_and_each_sees_the_candidates_before_it(member: MemberFactory, places: LabelSet) -> None:
    first, second = ListProposer("first", ["Ann", "Oslo"]), ListProposer("second", ["Oslo", "Bergen"])
    silent = member("a", {"Bergen": "location"}, replies={"Ann left Oslo for Bergen": " Ann"})
    result = Pipeline([silent], places, None, decision_rules(), [first, second]).run("Ann left Oslo for Bergen")
    proposers = {entry.surface: entry.proposers for entry in result.ledger}
    assert proposers == {"Ann": ("a",), "Oslo": ("first",), "Bergen": ("second",)}


def test_a_mention_that_no_vote_favours_is_said_to_be_of_the_voice_that_suggested_it(places: LabelSet) -> None:
    rules = decision_rules(threshold=0.2)
    unsure = ListProposer("unsure", ["Ann"], votes=True, probability=0.4)
    silent = ListProposer("silent", [], votes=True, probability=0.4)
    [alone] = Pipeline([], places, None, rules, [unsure, silent]).run("Ann left").mentions
    assert (alone.label, dict(alone.votes)) == ("PER", {"unsure": "PER", "silent": "none"})
    sure = ListProposer("sure", ["Ann"], votes=True, probability=0.9)
    [beside] = Pipeline([], places, None, rules, [unsure, sure]).run("Ann left").mentions
    assert (beside.label, dict(beside.votes)) == ("PER", {"unsure": "none", "sure": "PER"})


def test_a_proposer_may_vote(member: MemberFactory, places: LabelSet) -> None:
    undecided = member("a", {}, replies={"Ann left": " Ann"})
    without = Pipeline([undecided], places, None, decision_rules()).run("Ann left")
    assert labelled_spans(without) == []
    voter = ListProposer("voter", [], votes=True)
    result = Pipeline([undecided], places, None, decision_rules(), [voter]).run("Ann left")
    [mention] = result.mentions
    assert dict(mention.votes) == {"a": "none", "voter": "PER"}
    assert mention.score == pytest.approx((0.05 + 1) / 2 * 0.75, abs=1e-4)


def test_capitalised_spans_are_candidates_but_not_a_members_own(member: MemberFactory, places: LabelSet) -> None:
    text = "Ann left Oslo and Then Bergen"
    forgetful = member("a", {"Ann": "person", "Oslo": "location"}, replies={text: " Ann"})
    without = Pipeline([forgetful], places, None, decision_rules(threshold=0.1)).run(text)
    assert labelled_spans(without) == [(0, 3, "PER")]
    result = Pipeline([forgetful], places, None, decision_rules(threshold=0.1), [CapitalisedProposer()]).run(text)
    assert labelled_spans(result) == [(0, 3, "PER"), (9, 13, "LOC")]
    entries = {entry.surface: entry for entry in result.ledger}
    assert (entries["Oslo"].fate, entries["Oslo"].proposers) == (Fate.KEPT, (CapitalisedProposer.name,))
    assert (entries["Ann"].fate, entries["Ann"].proposers) == (Fate.KEPT, ("a",))
    assert entries["Then Bergen"].proposers == (CapitalisedProposer.name,)
    assert [mention.text for mention in result.member_mentions["a"]] == ["Ann"]


def test_naive_bayes_spans_are_candidates_but_not_a_members_own(member: MemberFactory, places: LabelSet) -> None:
    pool = [sentence("in oslo", ("oslo", "LOC")), sentence("in bern", ("bern", "LOC")), document("we saw them")]
    proposer = NaiveBayesProposer(WordStatistics(LeakageGuard(pool, sentence_splitter()), places))
    silent = member("a", {"lima": "location"}, replies={"in lima": " none"})
    assert Pipeline([silent], places, None, decision_rules(threshold=0.1)).run("in lima").ledger == ()
    result = Pipeline([silent], places, None, decision_rules(threshold=0.1), [proposer]).run("in lima")
    assert labelled_spans(result) == [(3, 7, "LOC")]
    assert [(entry.surface, entry.proposers) for entry in result.ledger] == [("lima", (proposer.name,))]
    assert result.member_mentions["a"] == ()
