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


def unit_vectors(rows: list[list[float]]) -> Vectors:
    vectors = np.array(rows, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def cluster(centre: list[float], count: int, seed: int) -> Vectors:
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(count, len(centre)))
    return unit_vectors((np.array(centre) + noise).tolist())


def mention_set(*mentions: tuple[int, str]) -> MentionSet:
    return frozenset((start, start + 1, label) for start, label in mentions)


class TestCentres:
    def test_two_clusters_have_two_centres(self) -> None:
        centres, sizes = cluster_centres(
            np.concatenate([cluster([1, 0, 0], 30, 0), cluster([0, 1, 0], 10, 1)]), max_centres=2
        )
        assert sorted(sizes) == [10, 30]
        assert centres @ unit_vectors([[1, 0, 0], [0, 1, 0]]).T == pytest.approx(np.eye(2), abs=0.1)
        assert np.linalg.norm(centres, axis=1) == pytest.approx(1)

    def test_there_are_no_more_centres_than_distinct_vectors(self) -> None:
        centres, sizes = cluster_centres(unit_vectors([[1, 0], [1, 0], [0, 1]]), max_centres=8)
        assert (len(centres), sum(sizes)) == (2, 3)

    def test_the_same_seed_gives_the_same_centres(self) -> None:
        vectors = cluster([1, 1, 1], 50, 3)
        assert (cluster_centres(vectors, seed=1)[0] == cluster_centres(vectors, seed=1)[0]).all()


def test_the_nearest_domain_scores_highest() -> None:
    domains = {"news": unit_vectors([[1, 0, 0]]), "bio": unit_vectors([[0, 1, 0], [0, 0, 1]])}
    scores = domain_similarity(np.concatenate([cluster([0, 1, 0], 5, 0), cluster([0, 0, 1], 5, 1)]), domains)
    assert scores["bio"] > 0.95
    assert scores["news"] < 0.2


def test_agreement_with_gold_is_micro_f1() -> None:
    gold = [mention_set((0, "PER"), (5, "ORG")), mention_set()]
    scores = agreement_with_gold(
        {"good": gold, "half": [mention_set((0, "PER")), mention_set((9, "PER"))], "none": [mention_set()] * 2}, gold
    )
    assert scores == {"good": 1.0, "half": 0.5, "none": 0.0}


class TestWithoutGold:
    def test_agreeing_experts_score_higher_than_odd_or_silent_ones(self) -> None:
        truth = [mention_set((0, "PER")), mention_set((3, "ORG"), (7, "PER"))]
        odd = [mention_set((1, "LOC")), mention_set((3, "LOC"))]
        scores = agreement_with_other_experts(
            {"a": truth, "b": truth, "c": truth, "odd": odd, "silent": [mention_set()] * 2}
        )
        assert scores["a"] == scores["b"] == 0.75, "the union of the others also has the two mentions of the odd expert"
        assert scores["odd"] == scores["silent"] == 0.0

    def test_no_expert_is_compared_with_itself(self) -> None:
        assert agreement_with_other_experts({"a": [mention_set((0, "PER"))], "b": [mention_set((1, "PER"))]}) == {
            "a": 0.0,
            "b": 0.0,
        }

    def test_a_single_expert_has_no_agreement(self) -> None:
        assert agreement_with_other_experts({"a": [mention_set((0, "PER"))]}) == {"a": 0.0}


class TestSelectBest:
    def test_weights_are_proportional_to_the_margin_over_the_best_rejected_expert(self) -> None:
        selection = select_best({"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.2}, max_experts=2)
        assert list(selection.scores) == ["b", "c", "d", "a"]
        assert selection.weights == pytest.approx({"b": 0.75, "c": 0.25})

    def test_equal_scores_get_equal_weights(self) -> None:
        assert select_best({"a": 0.2, "b": 0.2, "c": 0.2}, max_experts=2).weights == {"a": 0.5, "b": 0.5}

    def test_if_all_are_selected_the_worst_counts_half(self) -> None:
        assert select_best({"a": 0.4, "b": 0.2}, max_experts=5).weights == pytest.approx({"a": 2 / 3, "b": 1 / 3})

    def test_no_experts(self) -> None:
        assert select_best({}, max_experts=2).weights == {}

    @given(st.dictionaries(st.text("abcdefgh", min_size=1), st.floats(-1, 1), min_size=1), st.integers(1, 5))
    def test_weights_are_positive_and_add_up_to_1(self, scores: dict[str, float], max_experts: int) -> None:
        weights = select_best(scores, max_experts).weights
        assert 1 <= len(weights) <= max_experts
        assert sum(weights.values()) == pytest.approx(1)
        assert all(weight > 0 for weight in weights.values())
