from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.backends.option_trie import TokenTrie

Tokens = tuple[int, ...]


def test_what_options_share_is_asked_once_and_what_is_sure_never() -> None:
    asked: list[tuple[Tokens, Tokens]] = []
    shares = {1: 0.75, 4: 0.25, 2: 0.4, 3: 0.6}

    def siblings(path: Tokens, children: Tokens) -> Mapping[int, float]:
        asked.append((path, children))
        return {c: math.log(shares[c]) for c in children}

    scores = TokenTrie([(1, 2, 9, 9), (1, 3), (4, 7)]).log_probabilities(siblings, floor=-50)
    assert [math.exp(s) for s in scores] == pytest.approx([0.3, 0.45, 0.25])
    assert sorted(asked) == [((), (1, 4)), ((1,), (2, 3))]


def test_a_shared_beginning_is_asked_nothing_about() -> None:
    asked: list[Tokens] = []

    def siblings(path: Tokens, children: Tokens) -> Mapping[int, float]:
        asked.append(path)
        return dict.fromkeys(children, math.log(0.5))

    scores = TokenTrie([(8, 9, 1), (8, 9, 2)]).log_probabilities(siblings, floor=-50)
    assert scores == (math.log(0.5), math.log(0.5))
    assert asked == [(8, 9)]


def test_one_option_is_sure() -> None:
    assert TokenTrie([(1, 2)]).log_probabilities(lambda *_: pytest.fail("asked"), floor=-9) == (0.0,)


def test_a_child_that_the_model_leaves_out_gets_the_floor() -> None:
    assert TokenTrie([(1,), (2,)]).log_probabilities(lambda *_: {1: 0.0}, floor=-69.0) == (0.0, -69.0)


@pytest.mark.parametrize("options", [[], [()], [(1,), ()]])
def test_no_options(options: list[Tokens]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        TokenTrie(options)


@pytest.mark.parametrize("options", [[(1,), (1, 2)], [(1, 2), (1, 2)], [(3,), (1, 2, 3), (1, 2)]])
def test_no_option_may_begin_another(options: list[Tokens]) -> None:
    with pytest.raises(ValueError, match="beginning of another"):
        TokenTrie(options)


@given(st.sets(st.lists(st.integers(0, 2), min_size=3, max_size=3).map(tuple), min_size=1), st.randoms())
def test_the_options_share_one_probability(options: set[Tokens], random: object) -> None:
    ordered = sorted(options)

    def siblings(path: Tokens, children: Tokens) -> Mapping[int, float]:
        weights = {c: 1 + (sum(path) * 7 + c * 3) % 5 for c in children}
        return {c: math.log(w / sum(weights.values())) for c, w in weights.items()}

    scores = TokenTrie(ordered).log_probabilities(siblings, floor=-50)
    assert sum(map(math.exp, scores)) == pytest.approx(1)
    backwards = TokenTrie(ordered[::-1]).log_probabilities(siblings, floor=-50)
    assert backwards[::-1] == pytest.approx(scores)
