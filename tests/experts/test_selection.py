from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.experts.selection import (
    MentionSet,
    agreement_with_gold,
    agreement_with_other_experts,
    cluster_centres,
    domain_similarity,
    select_best,
)
from entsemble.protocols import Vectors


def unit(rows: list[list[float]]) -> Vectors:
    found = np.array(rows, dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def cloud(middle: list[float], count: int, seed: int) -> Vectors:
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(count, len(middle)))
    return unit((np.array(middle) + noise).tolist())


def answer(*mentions: tuple[int, str]) -> MentionSet:
    return frozenset((start, start + 1, label) for start, label in mentions)


class TestCentres:
    def test_a_domain_of_two_subjects_has_two(self) -> None:
        found, counts = cluster_centres(np.concatenate([cloud([1, 0, 0], 30, 0), cloud([0, 1, 0], 10, 1)]), most=2)
        assert sorted(counts) == [10, 30]
        assert found @ unit([[1, 0, 0], [0, 1, 0]]).T == pytest.approx(np.eye(2), abs=0.1)
        assert np.linalg.norm(found, axis=1) == pytest.approx(1)

    def test_there_are_no_more_than_sentences(self) -> None:
        found, counts = cluster_centres(unit([[1, 0], [1, 0], [0, 1]]), most=8)
        assert (len(found), sum(counts)) == (2, 3)

    def test_the_same_seed_gives_the_same(self) -> None:
        vectors = cloud([1, 1, 1], 50, 3)
        assert (cluster_centres(vectors, seed=1)[0] == cluster_centres(vectors, seed=1)[0]).all()


def test_the_nearest_domain_scores_highest() -> None:
    domains = {"news": unit([[1, 0, 0]]), "bio": unit([[0, 1, 0], [0, 0, 1]])}
    scores = domain_similarity(np.concatenate([cloud([0, 1, 0], 5, 0), cloud([0, 0, 1], 5, 1)]), domains)
    assert scores["bio"] > 0.95
    assert scores["news"] < 0.2


def test_gold_decides_where_there_is_some() -> None:
    gold = [answer((0, "PER"), (5, "ORG")), answer()]
    scores = agreement_with_gold(
        {"good": gold, "half": [answer((0, "PER")), answer((9, "PER"))], "none": [answer()] * 2}, gold
    )
    assert scores == {"good": 1.0, "half": 0.5, "none": 0.0}


class TestWithoutGold:
    def test_those_that_agree_score_above_those_that_do_not(self) -> None:
        truth = [answer((0, "PER")), answer((3, "ORG"), (7, "PER"))]
        odd = [answer((1, "LOC")), answer((3, "LOC"))]
        scores = agreement_with_other_experts(
            {"a": truth, "b": truth, "c": truth, "odd": odd, "silent": [answer()] * 2}
        )
        assert scores["a"] == scores["b"] == 0.75, "two mentions of five that one other names are not theirs"
        assert scores["odd"] == scores["silent"] == 0.0

    def test_nobody_is_compared_with_itself(self) -> None:
        assert agreement_with_other_experts({"a": [answer((0, "PER"))], "b": [answer((1, "PER"))]}) == {
            "a": 0.0,
            "b": 0.0,
        }

    def test_one_alone_has_nobody_to_agree_with(self) -> None:
        assert agreement_with_other_experts({"a": [answer((0, "PER"))]}) == {"a": 0.0}


class TestChoice:
    def test_the_best_weigh_most(self) -> None:
        found = select_best({"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.2}, most=2)
        assert list(found.scores) == ["b", "c", "d", "a"]
        assert found.weights == pytest.approx({"b": 0.75, "c": 0.25})

    def test_alike_weigh_alike(self) -> None:
        assert select_best({"a": 0.2, "b": 0.2, "c": 0.2}, most=2).weights == {"a": 0.5, "b": 0.5}

    def test_all_of_them(self) -> None:
        assert select_best({"a": 0.4, "b": 0.2}, most=5).weights == pytest.approx({"a": 2 / 3, "b": 1 / 3})

    def test_nobody(self) -> None:
        assert select_best({}, most=2).weights == {}

    @given(st.dictionaries(st.text("abcdefgh", min_size=1), st.floats(-1, 1), min_size=1), st.integers(1, 5))
    def test_weights_are_a_mean(self, scores: dict[str, float], most: int) -> None:
        weights = select_best(scores, most).weights
        assert 1 <= len(weights) <= most
        assert sum(weights.values()) == pytest.approx(1)
        assert all(w > 0 for w in weights.values())
