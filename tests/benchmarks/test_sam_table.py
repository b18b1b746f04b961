from __future__ import annotations

import numpy as np
import pytest
from benchmarks.sam.table import mean_f1

from entsemble.evaluation.counts import Counts


def test_the_mean_is_over_targets_not_over_mentions() -> None:
    large = [Counts(9, 1, 1)] * 10, [Counts(5, 5, 5)] * 10
    small = [Counts(1, 1, 1), Counts(1, 1, 1)], [Counts(1, 3, 3), Counts(1, 3, 3)]
    means = mean_f1([large, small], resamples=20)
    assert means.shape == (21, 2)
    assert means == pytest.approx(np.tile([(0.9 + 0.5) / 2, (0.5 + 0.25) / 2], (21, 1))), "alike sentences, alike draws"


def test_both_systems_are_redrawn_with_the_same_sentences() -> None:
    draw = np.random.default_rng(1)
    counts = [Counts(*map(int, row)) for row in draw.integers(0, 4, size=(30, 3))]
    means = mean_f1([(counts, counts)])
    assert (means[:, 0] == means[:, 1]).all()
    assert means[1:].std() > 0
    assert means[1:].mean() == pytest.approx(means[0, 0], abs=0.02)


def test_nothing_found_where_nothing_is() -> None:
    assert mean_f1([([Counts()], [Counts(0, 2, 0)])], resamples=1) == pytest.approx(0)
