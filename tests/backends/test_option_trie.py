"""Exact choice among options of several tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.backends.option_trie import Branching, TokenTrie, TokenTrieCache

Tokens = tuple[int, ...]


def test_shared_prefixes_are_scored_once_and_single_children_never() -> None:
    branchings: list[Branching] = []
    probabilities = {1: 0.75, 4: 0.25, 2: 0.4, 3: 0.6}

    def score(branching: Branching) -> Mapping[int, float]:
        branchings.append(branching)
        return {token: math.log(probabilities[token]) for token in branching.next_tokens}

    trie = TokenTrie([(1, 2, 9, 9), (1, 3), (4, 7)])
    scores = trie.log_probabilities(score, missing_log_probability=-50)
    assert list(map(math.exp, scores)) == pytest.approx([0.3, 0.45, 0.25])
    assert sorted(branchings) == [((), (1, 4)), ((1,), (2, 3))]


def test_a_prefix_that_all_options_share_is_not_scored() -> None:
    paths: list[Tokens] = []

    def score(branching: Branching) -> Mapping[int, float]:
        paths.append(branching.path)
        return dict.fromkeys(branching.next_tokens, math.log(0.5))

    scores = TokenTrie([(8, 9, 1), (8, 9, 2)]).log_probabilities(score, missing_log_probability=-50)
    assert scores == (math.log(0.5), math.log(0.5))
    assert paths == [(8, 9)]


def test_a_single_option_has_probability_one() -> None:
    trie = TokenTrie([(1, 2)])
    assert trie.log_probabilities(lambda _: pytest.fail("scored"), missing_log_probability=-9) == (0.0,)


def test_a_token_missing_from_the_scores_gets_the_missing_log_probability() -> None:
    assert TokenTrie([(1,), (2,)]).log_probabilities(lambda _: {1: 0.0}, missing_log_probability=-69.0) == (0.0, -69.0)


@pytest.mark.parametrize("options", [[], [()], [(1,), ()]])
def test_options_must_exist_and_have_tokens(options: list[Tokens]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        TokenTrie(options)


@pytest.mark.parametrize("options", [[(1,), (1, 2)], [(1, 2), (1, 2)], [(3,), (1, 2, 3), (1, 2)]])
def test_no_option_may_be_a_prefix_of_another(options: list[Tokens]) -> None:
    with pytest.raises(ValueError, match="prefix of another"):
        TokenTrie(options)


@given(st.sets(st.lists(st.integers(0, 2), min_size=3, max_size=3).map(tuple), min_size=1))
def test_probabilities_sum_to_one_and_do_not_depend_on_the_order(options: set[Tokens]) -> None:
    def score(branching: Branching) -> Mapping[int, float]:
        weights = {token: 1 + (sum(branching.path) * 7 + token * 3) % 5 for token in branching.next_tokens}
        return {token: math.log(weight / sum(weights.values())) for token, weight in weights.items()}

    ordered = sorted(options)
    scores = TokenTrie(ordered).log_probabilities(score, missing_log_probability=-50)
    backwards = TokenTrie(ordered[::-1]).log_probabilities(score, missing_log_probability=-50)
    assert sum(map(math.exp, scores)) == pytest.approx(1)
    assert backwards[::-1] == pytest.approx(scores)


def test_options_are_tokenised_as_they_follow_other_text() -> None:
    """Some tokenizers add a token at the start of a text."""

    def tokenize(text: str) -> list[int]:
        return [0, *map(ord, text)]

    trie = TokenTrieCache(tokenize).trie_for(["ab", "ac"])
    branching = next(trie.branchings(missing_log_probability=-9))
    assert branching == ((ord("a"),), (ord("b"), ord("c")))


def test_the_trie_of_the_same_options_is_built_once() -> None:
    tries = TokenTrieCache(lambda text: list(map(ord, text)))
    assert tries.trie_for(["a", "b"]) is tries.trie_for(("a", "b"))
