from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
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

LABELS = ("PER", "LOC", "none")


def ballot(member: str, *shares: float, proposed: bool = True, weight: float = 1.0) -> Ballot:
    logs = [math.log(s) if s else -math.inf for s in shares]
    exact = not any(s in (0, 1) for s in shares)
    return Ballot(member, dict(zip(LABELS, logs, strict=True)), exact, proposed, weight)


def test_a_majority_by_hand() -> None:
    told = majority_vote([ballot("a", 0.4, 0.35, 0.25), ballot("b", 0.5, 0.3, 0.2), ballot("c", 0.01, 0.98, 0.01)])
    assert told.label == told.best_label == "PER"
    assert told.score == pytest.approx((0.4 + 0.5 + 0.01) / 3)
    assert [b.voter for b in told.ballots] == ["a", "b", "c"]


def test_a_tie_goes_to_the_higher_mean() -> None:
    told = majority_vote([ballot("a", 0.55, 0.4, 0.05), ballot("b", 0.1, 0.8, 0.1)])
    assert told.label == "LOC"
    assert told.score == pytest.approx(0.6)


def test_a_majority_for_none_names_the_nearest_label() -> None:
    told = majority_vote([ballot("a", 0.1, 0.2, 0.7), ballot("b", 0.1, 0.3, 0.6), ballot("c", 0.9, 0.05, 0.05)])
    assert (told.label, told.best_label) == ("none", "PER")
    assert told.score == pytest.approx(1.1 / 3)


def test_members_that_only_count() -> None:
    told = majority_vote([ballot("a", 0, 1, 0), ballot("b", 0, 1, 0), ballot("c", 1, 0, 0)])
    assert told.label == "LOC"
    assert told.score == pytest.approx(2 / 3)
    mixed = majority_vote([ballot("a", 1, 0, 0), ballot("b", 0.1, 0.8, 0.1)])
    assert mixed.label == "PER"
    assert mixed.score == pytest.approx(0.55)


def test_a_soft_vote_by_hand() -> None:
    told = soft_vote([ballot("a", 0.6, 0.3, 0.1), ballot("b", 0.2, 0.7, 0.1, proposed=False)])
    assert told.label == "LOC"
    assert told.score == pytest.approx(0.5 * 0.75)
    both = soft_vote([ballot("a", 0.6, 0.3, 0.1), ballot("b", 0.2, 0.7, 0.1)])
    assert both.score == pytest.approx(0.5)


def test_a_union_believes_the_surest_of_those_that_proposed() -> None:
    told = union_vote(
        [ballot("a", 0.6, 0.3, 0.1), ballot("b", 0.1, 0.2, 0.7), ballot("c", 0.01, 0.98, 0.01, proposed=False)]
    )
    assert (told.label, told.best_label, len(told.ballots)) == ("PER", "PER", 3)
    assert told.score == pytest.approx(0.6 / 0.9)
    unclaimed = union_vote([ballot("a", 0.6, 0.3, 0.1, proposed=False)])
    assert unclaimed.score == pytest.approx(0.6 / 0.9)
    doubtful = union_vote([ballot("a", 0.03, 0.01, 0.96)])
    assert doubtful.label == "PER", "it listed it, so an entity it is"
    assert doubtful.score == pytest.approx(0.75)
    certain = union_vote([ballot("a", 0, 0, 1)])
    assert certain.score == 0


def logs(*shares: float) -> dict[str, float]:
    return {x: math.log(s) if s else -math.inf for x, s in zip(LABELS, shares, strict=True)}


def test_a_bias_moves_labels_and_leaves_none_alone() -> None:
    found = apply_bias(logs(0.6, 0.2, 0.2), {"LOC": math.log(6)})
    assert {x: math.exp(v) for x, v in found.items()} == pytest.approx({"PER": 0.8 / 3, "LOC": 1.6 / 3, "none": 0.2})
    assert apply_bias(logs(0.6, 0.2, 0.2), {}) == pytest.approx(logs(0.6, 0.2, 0.2))
    assert apply_bias(logs(0, 0, 1), {"PER": 1.0})["none"] == 0.0
    assert apply_bias(logs(1, 0, 0), {"LOC": 1.0})["PER"] == pytest.approx(0.0)


def test_a_habit_is_undone() -> None:
    """Always twice as much for PER, whatever it is: then the one about which it is less so is LOC."""
    beliefs = [logs(0.6, 0.3, 0.1)] * 19 + [logs(0.45, 0.45, 0.1)]
    bias = batch_calibration_bias(beliefs)
    assert bias["LOC"] > bias["PER"]
    assert max(apply_bias(beliefs[-1], bias).items(), key=lambda x: x[1])[0] == "LOC"
    assert batch_calibration_bias(beliefs[:1])["LOC"] < bias["LOC"], "few beliefs correct little"
    assert batch_calibration_bias([]) == {}


def test_who_is_sure_outweighs_two_who_are_not() -> None:
    ballots = [
        ballot("a", 0.51, 0.49 - 1e-9, 1e-9),
        ballot("b", 0.51, 0.49 - 1e-9, 1e-9),
        ballot("c", 0.02, 0.97, 0.01),
    ]
    assert majority_vote(ballots).label == "PER"
    assert soft_vote(ballots).label == "LOC"


def test_a_weighted_vote_by_hand() -> None:
    ballots = [
        ballot("a", 0.6, 0.3, 0.1, weight=3),
        ballot("b", 0.1, 0.8, 0.1, proposed=False, weight=1),
    ]
    told = weighted_vote(ballots)
    assert told.label == "PER"
    mean, support = (3 * 0.6 + 0.1) / 4, 3 / 4
    assert told.score == pytest.approx(mean * (0.5 + 0.5 * support))
    assert soft_vote(ballots).label == "LOC"


SHARES = st.lists(st.integers(1, 50), min_size=3, max_size=3).map(lambda x: [i / sum(x) for i in x])
BALLOTS = st.lists(st.tuples(SHARES, st.booleans(), st.integers(1, 5)), min_size=1, max_size=4).map(
    lambda each: [ballot(f"m{i}", *s, proposed=p, weight=w) for i, (s, p, w) in enumerate(each)]
)


@given(st.lists(SHARES, min_size=1, max_size=5), SHARES)
def test_a_corrected_belief_is_a_distribution(seen: Any, asked: Any) -> None:
    found = apply_bias(logs(*asked), batch_calibration_bias([logs(*s) for s in seen]))
    assert sum(map(math.exp, found.values())) == pytest.approx(1, abs=1e-6)


@given(BALLOTS, st.sampled_from(sorted(VOTING_RULES)))
def test_scores_are_confidences(ballots: list[Ballot], name: str) -> None:
    told = VOTING_RULES[name](ballots)
    assert 0 <= told.score <= 1 + 1e-9
    assert told.best_label != "none"
    assert told.label in ("none", told.best_label)
    assert told.ballots == tuple(ballots)


@given(BALLOTS)
def test_equal_weights_are_a_soft_vote(ballots: list[Ballot]) -> None:
    from dataclasses import replace

    equal = [replace(b, weight=2.5) for b in ballots]
    assert weighted_vote(equal).label == soft_vote(ballots).label
    assert weighted_vote(equal).score == pytest.approx(soft_vote(ballots).score)


@given(SHARES.filter(lambda s: len(set(s)) == 3), st.sampled_from(sorted(VOTING_RULES.keys() - {"union"})))
def test_one_member_is_obeyed(shares: Any, name: str) -> None:
    told = VOTING_RULES[name]([ballot("a", *shares)])
    best = LABELS[shares.index(max(shares))]
    assert told.label == best or (name != "majority" and best == "none")
    assert told.score == pytest.approx(shares[LABELS.index(told.best_label)])


def test_an_unknown_rule_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"'loud'.*majority, soft, union, weighted"):
        voting_rule("loud")


def test_a_member_that_named_nothing_names_no_entity() -> None:
    nothing = Ballot("b", dict.fromkeys(LABELS, -math.log(3)), exact=False, is_proposer=False)
    assert nothing.top_label == "none"
    assert majority_vote([nothing]).label == "none"
    assert majority_vote([ballot("a", 0, 1, 0), nothing]).label == "LOC"
