from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from entsemble.evaluation import bootstrap
from entsemble.evaluation.bootstrap import F1Difference, compare_f1, f1_interval, f1_interval_of_frequencies
from entsemble.evaluation.counts import Counts


def documents(generator: np.random.Generator, size: int, recall: float, spurious: float = 0.3) -> list[Counts]:
    """Documents with one to six gold mentions, each predicted with probability `recall`."""
    gold = generator.integers(1, 7, size=size)
    true_positives, false_positives = generator.binomial(gold, recall), generator.poisson(spurious, size=size)
    return [
        Counts(tp=int(correct), fp=int(wrong), fn=int(total - correct))
        for correct, wrong, total in zip(true_positives, false_positives, gold, strict=True)
    ]


def system_counts(generator: np.random.Generator, gold: np.ndarray, recall: float) -> list[Counts]:
    """Documents with these numbers of gold mentions, each predicted with probability `recall`, and nothing else."""
    correct = generator.binomial(gold, recall)
    return [Counts(tp=int(tp), fn=int(total - tp)) for tp, total in zip(correct, gold, strict=True)]


def test_interval_covers_the_true_f1_at_the_nominal_rate() -> None:
    generator = np.random.default_rng(7)
    # a document has 3.5 gold mentions on average: F1 = 2 * 3.5 * 0.6 / (3.5 * 0.6 + 0.3 + 3.5)
    true_f1 = 4.2 / 5.9
    intervals = [f1_interval(documents(generator, 80, 0.6), resamples=300, seed=seed) for seed in range(300)]
    coverage = np.mean([lower <= true_f1 <= upper for lower, upper in intervals])
    assert 0.90 <= coverage <= 0.985


def test_interval_narrows_with_more_documents_and_a_lower_level() -> None:
    generator = np.random.default_rng(1)
    few, many = documents(generator, 30, 0.6), documents(generator, 3000, 0.6)

    def width(interval: tuple[float, float]) -> float:
        return interval[1] - interval[0]

    assert width(f1_interval(many)) < width(f1_interval(few)) / 5
    assert width(f1_interval(few, level=0.5)) < width(f1_interval(few, level=0.95)) / 2


def test_interval_depends_on_the_seed_only() -> None:
    sample = documents(np.random.default_rng(2), 50, 0.5)
    assert f1_interval(sample, seed=3) == f1_interval(sample, seed=3)
    assert f1_interval(sample, seed=3) != f1_interval(sample, seed=4)


def test_interval_resamples_documents_not_mentions() -> None:
    # all errors are in one document, which is in no resample with a probability of about 1/e
    lower, upper = f1_interval([Counts(tp=1)] * 9 + [Counts(fp=50, fn=50)], resamples=2000)
    assert upper == 1.0
    assert lower < 0.1


def test_interval_of_no_documents_and_of_perfect_ones() -> None:
    assert f1_interval([]) == (0.0, 0.0)
    assert f1_interval([Counts(), Counts()]) == (0.0, 0.0)
    assert f1_interval([Counts(tp=3)] * 4) == (1.0, 1.0)


def test_interval_of_frequencies_is_that_of_the_documents() -> None:
    sample = documents(np.random.default_rng(3), 120, 0.6) + [Counts()] * 60
    expected = np.mean([f1_interval(sample, seed=seed) for seed in range(20)], axis=0)
    intervals = [f1_interval_of_frequencies(Counter(sample), seed=seed) for seed in range(20)]
    assert np.mean(intervals, axis=0) == pytest.approx(expected, abs=0.004)
    assert expected[1] - expected[0] > 0.05
    assert f1_interval_of_frequencies({}) == f1_interval_of_frequencies({Counts(): 3}) == (0.0, 0.0)
    assert f1_interval_of_frequencies({Counts(tp=3): 10**9}) == (1.0, 1.0)


def test_blocks_contain_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_MAX_CELLS", 100)
    draws = list(bootstrap._bootstrap_draws(np.random.default_rng(0), 30, 10))
    assert [len(block) for block in draws] == [3, 3, 3, 1]
    assert all((block.sum(axis=1) == 30).all() for block in draws)


def test_a_real_difference_is_significant() -> None:
    generator = np.random.default_rng(5)
    gold = generator.integers(1, 7, size=200)
    first, second = (system_counts(generator, gold, recall) for recall in (0.8, 0.5))
    result = compare_f1(first, second)
    assert result.difference == pytest.approx(sum(first, Counts()).f1 - sum(second, Counts()).f1)
    assert result.p_value == pytest.approx(1 / 1001)
    assert 0 < result.ci95[0] < result.difference < result.ci95[1]
    mirrored = compare_f1(second, first)
    assert mirrored.difference == pytest.approx(-result.difference)
    assert mirrored.ci95[1] < 0


def test_p_values_are_uniform_without_a_difference() -> None:
    generator = np.random.default_rng(11)
    p_values = []
    for seed in range(200):
        gold = generator.integers(1, 7, size=40)
        first, second = (system_counts(generator, gold, 0.6) for _ in range(2))
        p_values.append(compare_f1(first, second, resamples=200, seed=seed).p_value)
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.10
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_one_document_is_never_significant() -> None:
    # with one document, a swap only changes the sign, so every permutation is as extreme
    assert compare_f1([Counts(tp=4)], [Counts(tp=1, fn=3)]).p_value == 1.0


def test_equal_systems_do_not_differ() -> None:
    sample = documents(np.random.default_rng(3), 40, 0.5)
    other = [Counts(counts.fn, 0, counts.tp) for counts in sample]
    assert compare_f1(sample, other, seed=1) == compare_f1(sample, other, seed=1)
    assert compare_f1(sample, sample) == F1Difference(0.0, (0.0, 0.0), 1.0)
    assert compare_f1([], []) == F1Difference(0.0, (0.0, 0.0), 1.0)


def test_counts_of_other_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="same documents"):
        compare_f1([Counts(tp=1)], [Counts(tp=1), Counts(tp=1)])
    with pytest.raises(ValueError, match="same documents"):
        compare_f1([Counts(tp=1), Counts(tp=2)], [Counts(tp=2), Counts(tp=1)])
