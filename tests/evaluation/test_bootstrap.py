from __future__ import annotations

import numpy as np
import pytest

from entsemble.evaluation import bootstrap
from entsemble.evaluation.bootstrap import F1Difference, compare_f1, f1_interval
from entsemble.evaluation.counts import Counts


def documents(rng: np.random.Generator, size: int, recall: float, spurious: float = 0.3) -> list[Counts]:
    """Documents with one to six gold mentions, each found with probability `recall`."""
    gold = rng.integers(1, 7, size=size)
    tp, fp = rng.binomial(gold, recall), rng.poisson(spurious, size=size)
    return [Counts(int(t), int(f), int(g - t)) for t, f, g in zip(tp, fp, gold, strict=True)]


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    # a document has 3.5 gold mentions on average: F1 = 2 * 3.5 * 0.6 / (3.5 * 0.6 + 0.3 + 3.5)
    truth = 4.2 / 5.9
    ends = [f1_interval(documents(rng, 80, 0.6), resamples=300, seed=i) for i in range(300)]
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert 0.90 <= covered <= 0.985


def test_interval_narrows_with_more_documents_and_a_lower_level() -> None:
    rng = np.random.default_rng(1)
    few, many = documents(rng, 30, 0.6), documents(rng, 3000, 0.6)

    def width(ends: tuple[float, float]) -> float:
        return ends[1] - ends[0]

    assert width(f1_interval(many)) < width(f1_interval(few)) / 5
    assert width(f1_interval(few, level=0.5)) < width(f1_interval(few, level=0.95)) / 2


def test_interval_is_seeded() -> None:
    sample = documents(np.random.default_rng(2), 50, 0.5)
    assert f1_interval(sample, seed=3) == f1_interval(sample, seed=3)
    assert f1_interval(sample, seed=3) != f1_interval(sample, seed=4)


def test_interval_draws_documents_not_mentions() -> None:
    # one document holds everything that is wrong: about e**-1 of the resamples leave it out
    low, high = f1_interval([Counts(tp=1)] * 9 + [Counts(fp=50, fn=50)], resamples=2000)
    assert high == 1.0
    assert low < 0.1


def test_interval_of_nothing_and_of_certainty() -> None:
    assert f1_interval([]) == (0.0, 0.0)
    assert f1_interval([Counts(), Counts()]) == (0.0, 0.0)
    assert f1_interval([Counts(tp=3)] * 4) == (1.0, 1.0)


def test_blocks_make_up_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_BLOCK", 100)
    draws = list(bootstrap._draws(np.random.default_rng(0), 30, 10))
    assert [len(x) for x in draws] == [3, 3, 3, 1]
    assert all((x.sum(axis=1) == 30).all() for x in draws)


def test_compare_finds_a_real_difference() -> None:
    rng = np.random.default_rng(5)
    gold = rng.integers(1, 7, size=200)
    good, bad = rng.binomial(gold, 0.8), rng.binomial(gold, 0.5)
    first = [Counts(tp=int(t), fn=int(g - t)) for t, g in zip(good, gold, strict=True)]
    second = [Counts(tp=int(t), fn=int(g - t)) for t, g in zip(bad, gold, strict=True)]
    result = compare_f1(first, second)
    assert result.difference == pytest.approx(sum(first, Counts()).f1 - sum(second, Counts()).f1)
    assert result.p_value == pytest.approx(1 / 1001)
    assert 0 < result.ci95[0] < result.difference < result.ci95[1]
    mirrored = compare_f1(second, first)
    assert mirrored.difference == pytest.approx(-result.difference)
    assert mirrored.ci95[1] < 0


def test_p_values_are_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(11)
    p_values = []
    for seed in range(200):
        gold = rng.integers(1, 7, size=40)
        pair = [
            [Counts(tp=int(t), fn=int(g - t)) for t, g in zip(rng.binomial(gold, 0.6), gold, strict=True)]
            for _ in range(2)
        ]
        p_values.append(compare_f1(pair[0], pair[1], resamples=200, seed=seed).p_value)
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.10
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_p_value_of_one_document_is_exact() -> None:
    # with one document, a swap only turns the sign: every difference is as large
    assert compare_f1([Counts(tp=4)], [Counts(tp=1, fn=3)]).p_value == 1.0


def test_compare_is_seeded_and_equal_systems_do_not_differ() -> None:
    sample = documents(np.random.default_rng(3), 40, 0.5)
    other = [Counts(x.fn, 0, x.tp) for x in sample]
    assert compare_f1(sample, other, seed=1) == compare_f1(sample, other, seed=1)
    assert compare_f1(sample, sample) == F1Difference(0.0, (0.0, 0.0), 1.0)
    assert compare_f1([], []) == F1Difference(0.0, (0.0, 0.0), 1.0)


def test_compare_refuses_other_documents() -> None:
    with pytest.raises(ValueError, match="same documents"):
        compare_f1([Counts(tp=1)], [Counts(tp=1), Counts(tp=1)])
    with pytest.raises(ValueError, match="same documents"):
        compare_f1([Counts(tp=1), Counts(tp=2)], [Counts(tp=2), Counts(tp=1)])
