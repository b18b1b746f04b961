from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
from entsemble.types import NONE_LABEL
from entsemble.voting.rules import (
    VOTING_RULES,
    Ballot,
    apply_bias,
    batch_calibration_bias,
    majority_vote,
    soft_vote,
    union_vote,
    voting_rule,
    weighted_vote,
)

LABELS = ("PER", "LOC", NONE_LABEL)


def log_probabilities(*probabilities: float) -> dict[str, float]:
    logs = (math.log(probability) if probability else -math.inf for probability in probabilities)
    return dict(zip(LABELS, logs, strict=True))


def ballot(voter: str, *probabilities: float, is_proposer: bool = True, weight: float = 1.0) -> Ballot:
    exact = not {0, 1} & set(probabilities)
    return Ballot(voter, log_probabilities(*probabilities), exact, is_proposer, weight)


def test_majority_vote_takes_the_label_of_most_voters_and_their_mean_probability() -> None:
    verdict = majority_vote([ballot("a", 0.4, 0.35, 0.25), ballot("b", 0.5, 0.3, 0.2), ballot("c", 0.01, 0.98, 0.01)])
    assert verdict.label == verdict.best_label == "PER"
    assert verdict.score == pytest.approx((0.4 + 0.5 + 0.01) / 3)
    assert [cast.voter for cast in verdict.ballots] == ["a", "b", "c"]


def test_majority_vote_breaks_ties_by_mean_probability() -> None:
    verdict = majority_vote([ballot("a", 0.55, 0.4, 0.05), ballot("b", 0.1, 0.8, 0.1)])
    assert verdict.label == "LOC"
    assert verdict.score == pytest.approx(0.6)


def test_majority_vote_for_none_still_names_and_scores_the_best_label() -> None:
    verdict = majority_vote([ballot("a", 0.1, 0.2, 0.7), ballot("b", 0.1, 0.3, 0.6), ballot("c", 0.9, 0.05, 0.05)])
    assert (verdict.label, verdict.best_label) == (NONE_LABEL, "PER")
    assert verdict.score == pytest.approx(1.1 / 3)


def test_majority_vote_counts_ballots_without_probabilities() -> None:
    verdict = majority_vote([ballot("a", 0, 1, 0), ballot("b", 0, 1, 0), ballot("c", 1, 0, 0)])
    assert verdict.label == "LOC"
    assert verdict.score == pytest.approx(2 / 3)
    mixed = majority_vote([ballot("a", 1, 0, 0), ballot("b", 0.1, 0.8, 0.1)])
    assert mixed.label == "PER"
    assert mixed.score == pytest.approx(0.55)


def test_soft_vote_averages_probabilities_and_discounts_by_the_share_of_proposers() -> None:
    verdict = soft_vote([ballot("a", 0.6, 0.3, 0.1), ballot("b", 0.2, 0.7, 0.1, is_proposer=False)])
    assert verdict.label == "LOC"
    assert verdict.score == pytest.approx(0.5 * 0.75)
    both_proposed = soft_vote([ballot("a", 0.6, 0.3, 0.1), ballot("b", 0.2, 0.7, 0.1)])
    assert both_proposed.score == pytest.approx(0.5)


def test_a_confident_member_outvotes_two_undecided_ones_in_a_soft_vote_only() -> None:
    ballots = [
        ballot("a", 0.51, 0.49 - 1e-9, 1e-9),
        ballot("b", 0.51, 0.49 - 1e-9, 1e-9),
        ballot("c", 0.02, 0.97, 0.01),
    ]
    assert majority_vote(ballots).label == "PER"
    assert soft_vote(ballots).label == "LOC"


def test_weighted_vote_multiplies_probabilities_and_proposals_by_the_weights() -> None:
    ballots = [
        ballot("a", 0.6, 0.3, 0.1, weight=3),
        ballot("b", 0.1, 0.8, 0.1, is_proposer=False, weight=1),
    ]
    verdict = weighted_vote(ballots)
    assert verdict.label == "PER"
    mean, proposer_share = (3 * 0.6 + 0.1) / 4, 3 / 4
    assert verdict.score == pytest.approx(mean * (0.5 + 0.5 * proposer_share))
    assert soft_vote(ballots).label == "LOC"


def test_union_vote_takes_the_most_confident_proposer() -> None:
    ballots = [
        ballot("a", 0.6, 0.3, 0.1),
        ballot("b", 0.1, 0.2, 0.7),
        ballot("c", 0.01, 0.98, 0.01, is_proposer=False),
    ]
    verdict = union_vote(ballots)
    assert (verdict.label, verdict.best_label, len(verdict.ballots)) == ("PER", "PER", 3)
    assert verdict.score == pytest.approx(0.6 / 0.9)


def test_union_vote_without_a_proposer_uses_all_members() -> None:
    assert union_vote([ballot("a", 0.6, 0.3, 0.1, is_proposer=False)]).score == pytest.approx(0.6 / 0.9)


def test_union_vote_ignores_none_because_a_proposal_claims_an_entity() -> None:
    verdict = union_vote([ballot("a", 0.03, 0.01, 0.96)])
    assert verdict.label == "PER"
    assert verdict.score == pytest.approx(0.75)
    assert union_vote([ballot("a", 0, 0, 1)]).score == 0


def test_union_vote_uses_the_pools_ballots_if_only_the_pool_proposed_the_candidate() -> None:
    pool_ballots = [replace(ballot(name, 0.6, 0.3, 0.1), relative_weight=2.0) for name in ("pool", "other pool")]
    ballots = [ballot("a", 0.1, 0.8, 0.1, is_proposer=False), *pool_ballots]
    verdict = union_vote(ballots)
    assert verdict.label == "PER"
    assert verdict.score == pytest.approx(0.6)
    assert verdict.ballots == tuple(ballots)


def test_a_bias_shifts_labels_and_keeps_the_probability_of_none() -> None:
    biased = apply_bias(log_probabilities(0.6, 0.2, 0.2), {"LOC": math.log(6)})
    probabilities = {label: math.exp(value) for label, value in biased.items()}
    assert probabilities == pytest.approx({"PER": 0.8 / 3, "LOC": 1.6 / 3, NONE_LABEL: 0.2})


def test_an_empty_bias_changes_nothing() -> None:
    assert apply_bias(log_probabilities(0.6, 0.2, 0.2), {}) == pytest.approx(log_probabilities(0.6, 0.2, 0.2))


def test_a_bias_leaves_certain_answers_alone() -> None:
    assert apply_bias(log_probabilities(0, 0, 1), {"PER": 1.0})[NONE_LABEL] == 0.0
    assert apply_bias(log_probabilities(1, 0, 0), {"LOC": 1.0})["PER"] == pytest.approx(0.0)


def test_batch_calibration_removes_a_preference_for_one_label() -> None:
    """PER always has twice the probability of LOC, except for one candidate, which is therefore LOC."""
    batch = [log_probabilities(0.6, 0.3, 0.1)] * 19 + [log_probabilities(0.45, 0.45, 0.1)]
    bias = batch_calibration_bias(batch)
    assert bias["LOC"] > bias["PER"]
    calibrated = apply_bias(batch[-1], bias)
    assert max(calibrated, key=calibrated.__getitem__) == "LOC"


def test_few_candidates_shrink_the_batch_calibration_bias() -> None:
    batch = [log_probabilities(0.6, 0.3, 0.1)] * 20
    assert batch_calibration_bias(batch[:1])["LOC"] < batch_calibration_bias(batch)["LOC"]
    assert batch_calibration_bias([]) == {}


PROBABILITIES = st.lists(st.integers(1, 50), min_size=3, max_size=3).map(
    lambda counts: [count / sum(counts) for count in counts]
)
BALLOTS = st.lists(st.tuples(PROBABILITIES, st.booleans(), st.integers(1, 5)), min_size=1, max_size=4).map(
    lambda rows: [
        ballot(f"member-{number}", *probabilities, is_proposer=is_proposer, weight=weight)
        for number, (probabilities, is_proposer, weight) in enumerate(rows)
    ]
)


@given(st.lists(PROBABILITIES, min_size=1, max_size=5), PROBABILITIES)
def test_calibrated_probabilities_sum_to_one(batch: list[list[float]], probabilities: list[float]) -> None:
    bias = batch_calibration_bias([log_probabilities(*row) for row in batch])
    calibrated = apply_bias(log_probabilities(*probabilities), bias)
    assert sum(map(math.exp, calibrated.values())) == pytest.approx(1, abs=1e-6)


@given(BALLOTS, st.sampled_from(sorted(VOTING_RULES)))
def test_every_rule_gives_a_confidence_and_a_label_other_than_none(ballots: list[Ballot], rule: str) -> None:
    verdict = VOTING_RULES[rule](ballots)
    assert 0 <= verdict.score <= 1 + 1e-9
    assert verdict.best_label != NONE_LABEL
    assert verdict.label in (NONE_LABEL, verdict.best_label)
    assert verdict.ballots == tuple(ballots)


@given(BALLOTS)
def test_a_weighted_vote_with_equal_weights_is_a_soft_vote(ballots: list[Ballot]) -> None:
    equal = [replace(cast, weight=2.5) for cast in ballots]
    assert weighted_vote(equal).label == soft_vote(ballots).label
    assert weighted_vote(equal).score == pytest.approx(soft_vote(ballots).score)


@given(
    PROBABILITIES.filter(lambda probabilities: len(set(probabilities)) == 3),
    st.sampled_from(sorted(VOTING_RULES.keys() - {"union"})),
)
def test_the_vote_of_a_single_member_is_its_own_answer(probabilities: list[float], rule: str) -> None:
    verdict = VOTING_RULES[rule]([ballot("a", *probabilities)])
    top_label = LABELS[probabilities.index(max(probabilities))]
    assert verdict.label == top_label or (rule != "majority" and top_label == NONE_LABEL)
    assert verdict.score == pytest.approx(probabilities[LABELS.index(verdict.best_label)])


def test_an_unknown_rule_is_refused_with_a_list_of_all_rules() -> None:
    with pytest.raises(UnknownNameError, match=r"'loud'.*majority, soft, union, weighted"):
        voting_rule("loud")


def test_an_undecided_voter_names_no_entity() -> None:
    undecided = Ballot("b", dict.fromkeys(LABELS, -math.log(3)), exact=False, is_proposer=False)
    assert undecided.top_label == NONE_LABEL
    assert majority_vote([undecided]).label == NONE_LABEL
    assert majority_vote([ballot("a", 0, 1, 0), undecided]).label == "LOC"
